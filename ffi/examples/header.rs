//! Prints the C header of these sources to standard output.
//!
//! In: `src/lib.rs` and its modules, `cbindgen.toml` and the package's version. Out: the text of `include/atoll.h`.
//! Must never: write a file, or read anything that changes without the sources (`scripts/header.sh`
//! compares the output with the committed header, byte by byte).

use std::error::Error;
use std::io::Write as _;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut config = cbindgen::Config::from_file(package.join("cbindgen.toml"))?;
    config.after_includes = Some(version_macros(&abi_version(package)?));

    // From the root file rather than from the package: cbindgen would ask cargo about the package, and
    // cargo may want the network for that.
    let builder = cbindgen::Builder::new()
        .with_config(config)
        .with_src(package.join("src/lib.rs"));
    let mut header = Vec::new();
    builder.generate()?.write(&mut header);
    std::io::stdout().write_all(&header)?;
    Ok(())
}

/// The macros that a program compares with what the library answers at run time.
fn version_macros(abi_version: &str) -> String {
    format!(
        "\n/* Version of this header; compare with atoll_version_number(). */\n\
         #define ATOLL_VERSION_MAJOR {}\n\
         #define ATOLL_VERSION_MINOR {}\n\
         #define ATOLL_VERSION_PATCH {}\n\
         #define ATOLL_VERSION_NUMBER \\\n    \
             ((ATOLL_VERSION_MAJOR << 16) | (ATOLL_VERSION_MINOR << 8) | ATOLL_VERSION_PATCH)\n\
         \n\
         /* Binary interface of this header; compare with atoll_abi_version(). */\n\
         #define ATOLL_ABI_VERSION {abi_version}",
        env!("CARGO_PKG_VERSION_MAJOR"),
        env!("CARGO_PKG_VERSION_MINOR"),
        env!("CARGO_PKG_VERSION_PATCH"),
    )
}

/// The value of `ABI_VERSION`, read from the source: an example cannot link a C library's insides.
fn abi_version(package: &Path) -> Result<String, Box<dyn Error>> {
    let source = std::fs::read_to_string(package.join("src/version.rs"))?;
    let line = source
        .lines()
        .find_map(|line| line.strip_prefix("pub(crate) const ABI_VERSION: u32 = "));
    let value = line.and_then(|rest| rest.strip_suffix(';'));
    Ok(value
        .ok_or("src/version.rs no longer says `pub(crate) const ABI_VERSION: u32 = …;`")?
        .to_owned())
}
