"""Group-robust training objectives; needs torch only."""
