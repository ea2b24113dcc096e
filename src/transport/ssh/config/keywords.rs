//! Every keyword of `ssh_config`, and what it means to the runner.

/// What the runner does with a keyword.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keyword {
    /// `Host`.
    Host,
    /// `Match`.
    Match,
    /// `Include`.
    Include,
    /// `IgnoreUnknown`.
    IgnoreUnknown,
    /// `HostName`.
    HostName,
    /// `User`.
    User,
    /// `Port`.
    Port,
    /// `IdentityFile`.
    IdentityFile,
    /// `IdentitiesOnly`.
    IdentitiesOnly,
    /// `IdentityAgent`.
    IdentityAgent,
    /// `UserKnownHostsFile`.
    UserKnownHostsFile,
    /// `GlobalKnownHostsFile`.
    GlobalKnownHostsFile,
    /// `StrictHostKeyChecking`.
    StrictHostKeyChecking,
    /// `HostKeyAlias`.
    HostKeyAlias,
    /// `ProxyJump`.
    ProxyJump,
    /// `ProxyCommand`, of which only `none` is supported.
    ProxyCommand,
    /// `ConnectTimeout`.
    ConnectTimeout,
    /// `ServerAliveInterval`.
    ServerAliveInterval,
    /// `ServerAliveCountMax`.
    ServerAliveCountMax,
    /// `PreferredAuthentications`, in which `publickey` or a password must be left.
    PreferredAuthentications,
    /// It makes no difference to what the runner does over a connection.
    Ignored,
    /// It matters and is not supported: an error where it applies, except for these values.
    Unsupported {
        /// The values that ask for what the runner does anyway.
        harmless: &'static [&'static str],
        /// The way out.
        help: &'static str,
    },
    /// As [`Unsupported`](Self::Unsupported), but passed over in the configuration for everyone on the machine:
    /// some distributions ship such lists, and the runner's own algorithms are no weaker.
    Algorithms,
}

/// The names as the manual spells them; deprecated ones behind them.
#[rustfmt::skip]
const IGNORED: &[&str] = &[
    "AddKeysToAgent", "BatchMode", "CanonicalDomains", "CanonicalizeFallbackLocal", "CanonicalizeMaxDots",
    "CanonicalizePermittedCNAMEs", "CASignatureAlgorithms", "ChannelTimeout", "ClearAllForwardings", "Compression",
    "ConnectionAttempts", "ControlMaster", "ControlPath", "ControlPersist", "DynamicForward", "EnableEscapeCommandline",
    "EnableSSHKeysign", "EscapeChar", "ExitOnForwardFailure", "FingerprintHash", "ForkAfterAuthentication",
    "ForwardAgent", "ForwardX11", "ForwardX11Timeout", "ForwardX11Trusted", "GatewayPorts", "GSSAPIAuthentication",
    "GSSAPIClientIdentity", "GSSAPIDelegateCredentials", "GSSAPIKexAlgorithms", "GSSAPIKeyExchange",
    "GSSAPIRenewalForcesRekey", "GSSAPIServerIdentity", "GSSAPITrustDns", "HashKnownHosts",
    "HostbasedAcceptedAlgorithms", "HostbasedAuthentication", "HostbasedKeyTypes", "IPQoS",
    "KbdInteractiveAuthentication", "KbdInteractiveDevices", "LocalCommand", "LocalForward", "LogLevel", "LogVerbose",
    "NumberOfPasswordPrompts", "ObscureKeystrokeTiming", "PasswordAuthentication", "PermitLocalCommand",
    "PermitRemoteOpen", "ProxyUseFdpass", "RekeyLimit", "RemoteCommand", "RemoteForward", "RequestTTY",
    "RequiredRSASize", "SecurityKeyProvider", "SendEnv", "SessionType", "SetEnv", "StdinNull", "StreamLocalBindMask",
    "StreamLocalBindUnlink", "SyslogFacility", "TCPKeepAlive", "Tunnel", "TunnelDevice", "UpdateHostKeys",
    "UseKeychain", "VersionAddendum", "VisualHostKey", "WarnWeakCrypto", "XAuthLocation",
    "AFSTokenPassing", "ChallengeResponseAuthentication", "Cipher", "CompressionLevel", "FallBackToRsh",
    "GlobalKnownHostsFile2", "KeepAlive", "KerberosAuthentication", "KerberosTgtPassing", "Protocol",
    "RhostsAuthentication", "RhostsRSAAuthentication", "RSAAuthentication", "SKeyAuthentication", "TISAuthentication",
    "UsePrivilegedPort", "UserKnownHostsFile2", "UseRoaming", "UseRsh",
];

const ALGORITHMS: &[&str] = &[
    "Ciphers",
    "HostKeyAlgorithms",
    "KexAlgorithms",
    "MACs",
    "PubkeyAcceptedAlgorithms",
    "PubkeyAcceptedKeyTypes",
];

const NO: &[&str] = &["no", "false"];
const NONE: &[&str] = &["none"];

const fn unsupported(harmless: &'static [&'static str], help: &'static str) -> Keyword {
    Keyword::Unsupported { harmless, help }
}

const USED: &[(&str, Keyword)] = &[
    ("Host", Keyword::Host),
    ("Match", Keyword::Match),
    ("Include", Keyword::Include),
    ("IgnoreUnknown", Keyword::IgnoreUnknown),
    ("HostName", Keyword::HostName),
    ("User", Keyword::User),
    ("Port", Keyword::Port),
    ("IdentityFile", Keyword::IdentityFile),
    ("IdentityFile2", Keyword::IdentityFile),
    ("IdentitiesOnly", Keyword::IdentitiesOnly),
    ("IdentityAgent", Keyword::IdentityAgent),
    ("UserKnownHostsFile", Keyword::UserKnownHostsFile),
    ("GlobalKnownHostsFile", Keyword::GlobalKnownHostsFile),
    ("StrictHostKeyChecking", Keyword::StrictHostKeyChecking),
    ("HostKeyAlias", Keyword::HostKeyAlias),
    ("ProxyJump", Keyword::ProxyJump),
    ("ProxyCommand", Keyword::ProxyCommand),
    ("ConnectTimeout", Keyword::ConnectTimeout),
    ("ServerAliveInterval", Keyword::ServerAliveInterval),
    ("ServerAliveCountMax", Keyword::ServerAliveCountMax),
    (
        "PreferredAuthentications",
        Keyword::PreferredAuthentications,
    ),
    (
        "AddressFamily",
        unsupported(&["any"], "set `HostName` to an address of that family"),
    ),
    (
        "BindAddress",
        unsupported(&[], "set the route to the host instead"),
    ),
    (
        "BindInterface",
        unsupported(&[], "set the route to the host instead"),
    ),
    (
        "CanonicalizeHostname",
        unsupported(NO, "set `HostName` to the whole name"),
    ),
    (
        "CertificateFile",
        unsupported(NONE, "certificates are not supported, use a key"),
    ),
    (
        "CheckHostIP",
        unsupported(NO, "note the keys under the names that are dialed"),
    ),
    (
        "KnownHostsCommand",
        unsupported(
            NONE,
            "write the keys to a file and set `GlobalKnownHostsFile`",
        ),
    ),
    (
        "NoHostAuthenticationForLocalhost",
        unsupported(NO, "note the keys of this machine, or set `HostKeyAlias`"),
    ),
    (
        "PKCS11Provider",
        unsupported(
            NONE,
            "add the token's keys to the agent: ssh-add -s LIBRARY",
        ),
    ),
    (
        "PubkeyAuthentication",
        unsupported(
            &["yes", "true", "unbound", "host-bound"],
            "log in with a key",
        ),
    ),
    (
        "RevokedHostKeys",
        unsupported(NONE, "mark the keys `@revoked` in a file of known hosts"),
    ),
    (
        "SmartcardDevice",
        unsupported(NONE, "add the card's keys to the agent: ssh-add -s LIBRARY"),
    ),
    (
        "Tag",
        unsupported(&[], "name the hosts in a `Host` block instead"),
    ),
    (
        "VerifyHostKeyDNS",
        unsupported(NO, "note the keys in a file of known hosts"),
    ),
];

/// Finds a keyword, in any case.
pub fn find(name: &str) -> Option<Keyword> {
    let same = |known: &str| known.eq_ignore_ascii_case(name);
    if let Some((_, keyword)) = USED.iter().find(|(known, _)| same(known)) {
        return Some(*keyword);
    }
    if IGNORED.iter().any(|known| same(known)) {
        return Some(Keyword::Ignored);
    }
    // The old name of `PubkeyAuthentication`.
    if name.eq_ignore_ascii_case("DSAAuthentication") {
        return find("PubkeyAuthentication");
    }
    ALGORITHMS
        .iter()
        .any(|known| same(known))
        .then_some(Keyword::Algorithms)
}

/// The known keyword nearest to a misspelt one.
pub fn closest(name: &str) -> Option<&'static str> {
    let all = || {
        USED.iter()
            .map(|(known, _)| *known)
            .chain(IGNORED.iter().copied())
            .chain(ALGORITHMS.iter().copied())
    };
    let lower: Vec<String> = all().map(str::to_ascii_lowercase).collect();
    let name = name.to_ascii_lowercase();
    let near = crate::diagnostic::closest(&name, lower.iter().map(String::as_str))?;
    all().find(|known| known.eq_ignore_ascii_case(near))
}
