//! A file such as `~/.ssh/config`, and what it says about some hosts.

#![no_main]

use libfuzzer_sys::fuzz_target;
use runner::inventory::ConnectionSettings;
use runner::transport::ssh::config::{Environment, SshConfig};
use std::path::PathBuf;

fuzz_target!(|input: &[u8]| {
    let path = runner_fuzz::file("ssh_config", input);
    let environment = Environment {
        home: PathBuf::from("/dev/shm/runner-fuzz-nowhere"),
        user: "dcos".into(),
        uid: 1000,
        host_name: "control".into(),
        system_folder: PathBuf::from("/dev/shm/runner-fuzz-nowhere"),
        variables: [("HOME".to_string(), "/home/dcos".to_string())].into(),
    };
    match SshConfig::load_in(environment, Some(&path)) {
        Err(problem) => runner_fuzz::show(&problem.into()),
        Ok(config) => {
            for name in ["web1", "db.example.com", "192.0.2.7"] {
                if let Err(problem) = config.lookup(name, &ConnectionSettings::default()) {
                    runner_fuzz::show(&problem.into());
                }
            }
        }
    }
});
