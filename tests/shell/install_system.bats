#!/usr/bin/env bats
# tools/install_system.sh, with an apt-get and a systemctl that only note their calls.
# shellcheck disable=SC2154,SC2016  # sandbox.bash sets repo and calls; the stub expands its own

load sandbox

setup() {
  make_sandbox
  bin="${BATS_TEST_TMPDIR}/bin"
  mkdir "${bin}"
  local tool
  for tool in awk bash basename cat cut dirname env grep head mktemp rm sed sort; do
    ln -s "$(command -v "${tool}")" "${bin}/${tool}"
  done
  for tool in apt-get systemctl python3 bats chromium chromedriver munge slurmctld slurmd sbatch; do
    printf '#!/usr/bin/env bash\nprintf "%%s %%s\\n" "${0##*/}" "$*" >>"${CALLS}"\n' >"${bin}/${tool}"
    chmod +x "${bin}/${tool}"
  done
  PATH=${bin}
}

@test "when all programs are there nothing is installed" {
  run -0 "${repo}/tools/install_system.sh"
  [[ "${output}" == *"All system packages are there"* ]]
  run ! grep -q apt-get "${calls}"
  run -0 "${repo}/tools/install_system.sh" --quiet
  [ -z "${output}" ]
}

@test "what is missing is installed with root's rights, and named without them" {
  rm "${bin}/sbatch" "${bin}/chromedriver"
  if ((EUID == 0)); then
    run -0 "${repo}/tools/install_system.sh"
    grep -qE '^apt-get install .*--no-install-recommends .* chromium-driver slurm-client$' "${calls}"
  else
    run -1 "${repo}/tools/install_system.sh"
    [[ "${output}" == *"sudo apt-get install --no-install-recommends chromium-driver slurm-client"* ]]
  fi
}

@test "services that were there before are left alone" {
  ((EUID == 0)) || skip "root alone installs"
  rm "${bin}/sbatch"
  run -0 "${repo}/tools/install_system.sh"
  run ! grep -q systemctl "${calls}"
}
