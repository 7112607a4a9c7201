//! The registry of Windows: which keys make it start or load something by itself.

use super::super::AssetClass;

/// Runs of names in a key, or names of values, after which Windows, its shell or a common program starts or
/// loads what stands there. Lower case; from Microsoft's documentation of each and ATT&CK's T1037, T1137,
/// T1546, T1547, T1556 and T1574.
const STARTS: &[&str] = &[
    // Sessions and logons.
    "\\currentversion\\run",
    "\\explorer\\run",
    "currentversion\\windows\\load",
    "\\winlogon",
    "userinit",
    "\\active setup\\installed components",
    "\\group policy\\scripts",
    "\\policies\\system\\scripts",
    "shell folders",
    "scrnsave.exe",
    "initialprogram",
    "startupprograms",
    "\\shellserviceobjectdelayload",
    "\\shellexecutehooks",
    "\\sharedtaskscheduler",
    "shellex\\contextmenuhandlers",
    "browser helper objects",
    "extensioninstallforcelist",
    "\\authentication\\credential providers",
    // What stands in for a program, or is loaded into it.
    "image file execution options",
    "silentprocessexit",
    "appinit_dlls",
    "appcertdlls",
    "\\app paths\\",
    "command processor",
    "\\shell\\open\\command",
    "\\shell\\runas\\command",
    "delegateexecute",
    "inprocserver32",
    "localserver32",
    "\\treatas",
    "scriptleturl",
    "appcompatflags\\custom",
    "appcompatflags\\installedsdb",
    "aedebug",
    "windows error reporting\\hangs",
    "dbgmanageddebugger",
    "cor_profiler",
    "cor_enable_profiling",
    "\\amsi\\providers",
    "\\wow64\\x86",
    "autodialdll",
    "\\wab\\dllpath",
    "\\ctf\\langbaraddin",
    "htmlhelp author",
    // The system and its services.
    "\\services\\",
    "\\session manager\\",
    "bootexecute",
    "\\control\\lsa",
    "securityproviders",
    "\\print\\monitors",
    "\\print\\environments",
    "\\print\\providers",
    "\\timeproviders",
    "\\netsh",
    "networkprovider\\order",
    "notification packages",
    "\\bootverificationprogram",
    "servicecontrolmanagerextension",
    "\\schedule\\taskcache",
    "\\appcompatflags\\telemetrycontroller",
    "terminal server\\wds",
    "\\cryptography\\oid",
    "\\cryptography\\providers\\trust",
    // Office.
    "office test\\special\\perf",
    "\\addins\\",
    "outlook\\webview",
    "outlook\\today",
    "\\excel\\options",
    "\\word\\options",
];

/// The class of a registry key that is written, given with the names and values that are set in it.
#[must_use]
pub fn classify_key(line: &str) -> AssetClass {
    let lower = line.to_ascii_lowercase().replace('/', "\\");
    if STARTS.iter().any(|start| lower.contains(start)) { AssetClass::Startup } else { AssetClass::System }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_start_something_are_told_apart() {
        for (line, class) in [
            (r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\RunOnce /v a", AssetClass::Startup),
            (r"HKCU:/Software/Classes/CLSID/{1}/InprocServer32", AssetClass::Startup),
            (r"HKCU\Control Panel\Desktop /v SCRNSAVE.EXE", AssetClass::Startup),
            (r"HKCU\Software\App /v Theme", AssetClass::System),
        ] {
            assert_eq!(classify_key(line), class, "{line}");
        }
    }
}
