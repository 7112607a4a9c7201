//! What an action would do to the world.

/// What kind of thing is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Capability {
    /// Reads a file or directory.
    ReadFile,
    /// Writes, creates, moves onto or changes the mode of a file.
    WriteFile,
    /// Deletes a file or directory.
    DeleteFile,
    /// Runs code: a shell, an interpreter, a program whose code is not known.
    Execute,
    /// Fetches from a host.
    NetworkFetch,
    /// Sends data to a host.
    NetworkPost,
    /// Accepts connections.
    NetworkListen,
    /// Opens a page in a browser.
    BrowserNavigate,
    /// Downloads with a browser.
    BrowserDownload,
    /// Calls a tool server.
    McpInvoke,
    /// Asks a credential store or the environment for secrets.
    SecretAccess,
    /// Reads the clipboard.
    ClipboardRead,
    /// Moves the mouse, types, takes screenshots.
    UiAutomation,
    /// Signals or stops a process or service.
    Signal,
    /// Changes the system: users, services, schedules, firewall, privileges.
    Administer,
    /// Nobody knows.
    Unknown,
}

impl Capability {
    /// Every capability, for tables and messages.
    pub const ALL: [Self; 16] = [
        Self::ReadFile,
        Self::WriteFile,
        Self::DeleteFile,
        Self::Execute,
        Self::NetworkFetch,
        Self::NetworkPost,
        Self::NetworkListen,
        Self::BrowserNavigate,
        Self::BrowserDownload,
        Self::McpInvoke,
        Self::SecretAccess,
        Self::ClipboardRead,
        Self::UiAutomation,
        Self::Signal,
        Self::Administer,
        Self::Unknown,
    ];

    /// The word in policies, rules and receipts.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadFile => "read:file",
            Self::WriteFile => "write:file",
            Self::DeleteFile => "delete:file",
            Self::Execute => "execute:shell",
            Self::NetworkFetch => "network:fetch",
            Self::NetworkPost => "network:post",
            Self::NetworkListen => "network:listen",
            Self::BrowserNavigate => "browser:navigate",
            Self::BrowserDownload => "browser:download",
            Self::McpInvoke => "mcp:invoke",
            Self::SecretAccess => "secret:access",
            Self::ClipboardRead => "clipboard:read",
            Self::UiAutomation => "ui:automation",
            Self::Signal => "process:signal",
            Self::Administer => "system:administer",
            Self::Unknown => "unknown",
        }
    }

    /// The capability of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|capability| capability.as_str() == word)
    }
}

/// What kind of thing it is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AssetClass {
    /// A host that is not one of ours.
    External,
    /// A cloud's metadata service.
    CloudMetadata,
    /// This machine or its private network.
    Internal,
    /// Cryptocurrency wallets.
    Wallet,
    /// Browser profiles, cookies, chat clients' stores.
    BrowserData,
    /// Keys, tokens, passwords in files.
    Credential,
    /// A project's own `.env`: counts only if its values leave.
    ProjectSecret,
    /// The system's key chain.
    Keychain,
    /// The configuration and memory of AI clients.
    AiClientConfig,
    /// Logs and histories.
    Log,
    /// Temporary directories.
    Temp,
    /// The operating system's own places.
    System,
    /// What starts by itself: shell profiles, schedules, services, login items, git hooks.
    Startup,
    /// A user's other configuration.
    Config,
    /// Where programs live.
    Executable,
    /// The project being worked on.
    Project,
    /// Doorward's own home, process or control listener.
    Doorward,
    /// Nobody knows.
    Unknown,
}

impl AssetClass {
    /// Every class, for tables and messages.
    pub const ALL: [Self; 18] = [
        Self::External,
        Self::CloudMetadata,
        Self::Internal,
        Self::Wallet,
        Self::BrowserData,
        Self::Credential,
        Self::ProjectSecret,
        Self::Keychain,
        Self::AiClientConfig,
        Self::Log,
        Self::Temp,
        Self::System,
        Self::Startup,
        Self::Config,
        Self::Executable,
        Self::Project,
        Self::Doorward,
        Self::Unknown,
    ];

    /// The word in policies, rules and receipts.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::External => "external",
            Self::CloudMetadata => "cloud-metadata",
            Self::Internal => "internal",
            Self::Wallet => "wallet",
            Self::BrowserData => "browser-data",
            Self::Credential => "credential",
            Self::ProjectSecret => "project-secret",
            Self::Keychain => "keychain",
            Self::AiClientConfig => "ai-client-config",
            Self::Log => "log",
            Self::Temp => "temp",
            Self::System => "system",
            Self::Startup => "startup",
            Self::Config => "config",
            Self::Executable => "executable",
            Self::Project => "project",
            Self::Doorward => "doorward",
            Self::Unknown => "unknown",
        }
    }

    /// The class of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == word)
    }
}

/// What an effect is aimed at, symbolic: `~` stands for the user's home, a relative path is relative
/// to a directory that only the session knows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// Nothing in particular.
    None,
    /// A path after quote removal, with `~` for the home directory, `/` as separator and dot segments
    /// resolved. `exact` is false if a part of it (a variable, a glob) is not known.
    Path {
        /// The path.
        path: String,
        /// Whether all of it is known.
        exact: bool,
    },
    /// A URL as written.
    Url(String),
    /// A host or `host:port`.
    Host(String),
    /// A program by name.
    Program(String),
    /// A process by name, pid or port.
    Process(String),
    /// What flows in from other effects: `curl … | sh` executes its input.
    Input,
    /// Code given in place: `python -c CODE`.
    Code(String),
    /// Anything else, in words.
    Other(String),
}

impl Target {
    /// The target as text, empty if there is none.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::None | Self::Input => "",
            Self::Path { path, .. } => path,
            Self::Url(text)
            | Self::Host(text)
            | Self::Program(text)
            | Self::Process(text)
            | Self::Code(text)
            | Self::Other(text) => text,
        }
    }
}

/// Which earlier effect of the same action feeds a later one: an index into its effects.
pub type Flow = u16;

/// One thing an action would do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Effect {
    /// What is done.
    pub capability: Capability,
    /// To what.
    pub target: Target,
    /// What kind of thing that is.
    pub asset: AssetClass,
    /// Whose data reaches this effect, through pipes, files, substitutions or arguments.
    pub from: Vec<Flow>,
    /// The program or tool that does it: `curl`, `Read`.
    pub by: String,
}
