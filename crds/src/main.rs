//! Writes the definitions of the kinds, for the chart.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use crds::definition;

fn main() -> ExitCode {
    match write(&definition::folder()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do when nobody reads that either.
            let _unheard = std::io::Write::write_fmt(
                &mut std::io::stderr(),
                format_args!("cannot write the definitions: {error}\n"),
            );
            ExitCode::FAILURE
        }
    }
}

fn write(folder: &Path) -> Result<(), Box<dyn std::error::Error>> {
    fs::create_dir_all(folder)?;
    for definition in definition::all()? {
        fs::write(folder.join(definition.file()), definition.yaml()?)?;
    }
    Ok(())
}
