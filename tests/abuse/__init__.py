"""What a tenant tries from inside its application, and where it is proven that it fails.

    1, 2, 10-13, 49   tests/vm/scenario_abuse.py, scenario_limits.py: they need controllers
    3, 4, 7, 14-32,
    35, 36, 45, 46, 48   test_from_inside.py, with a control run each
    5                 tests/vm/guest_limits.py: quotas need a file system that has them
    8, 9              tests/vm/scenario_abuse.py; tests/faults/test_signals_and_fds.py
    33                tests/integration/test_limits_landlock.py, test_limits_root_kernel.py
    34                tests/vm/scenario_limits.py; tests/integration/test_limits_egress.py
    37, 38            tests/unit/test_config_read.py, test_config_total.py
    39                tests/integration/test_policy.py, test_tenants.py
    40, 41            tests/integration/test_control_server.py
    42                tests/integration/test_logs.py
    43                tests/faults/test_crash_and_adoption.py
    47                tests/integration/test_limits_cgroups.py
    44                tests/integration/test_tenants.py

The numbers are those of the list of abuses that this is made from; 30's other architectures are in
tests/integration/test_limits_seccomp.py. Not proven: 6 (there is none), 28's calls with a control
run (nobody without capabilities may make them anywhere).
"""
