//! A file that may not be read is an error with its code, and never an allowance.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// `nobody`, for whom permissions count: for root they do not.
const NOBODY: u32 = 65_534;

#[test]
fn a_file_that_may_not_be_read_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let model = folder.path().join("model.pt");
    fs::write(&model, b"\x80\x02}.").unwrap();
    fs::set_permissions(&model, fs::Permissions::from_mode(0o000)).unwrap();
    // The build folder may be closed to nobody; a copy beside the model is not.
    let binary = folder.path().join("secure-torch");
    fs::copy(env!("CARGO_BIN_EXE_secure-torch"), &binary).unwrap();
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();

    let mut command = Command::new(&binary);
    command.arg("scan").arg(&model).current_dir("/");
    if fs::read(&model).is_ok() {
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains("io-permission") && errors.contains("may not be read"), "{errors}");
}
