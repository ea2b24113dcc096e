//! Words and texts for a POSIX shell: quoting, and the functions that every script can use.

/// Contents up to this many bytes travel inside a script; larger files get a channel of their own.
pub const INLINE_LIMIT: usize = 64 * 1024;

/// Functions that every script can call. They use nothing beyond POSIX and what every Linux has.
///
/// `rn_limit SECONDS COMMAND...` ends a program after a time, where the host has `timeout`.
///
/// `rn_sum FILE [large]` prints the SHA-256 of a file in hex. Code 127: the host has no tool for it.
///
/// `rn_stat PATH [-L]` prints one line of fields parted by tabs: kind, mode, uid, gid, size, mtime, user, group. The kind is
/// `file`, `directory`, `link`, `other`, `missing` or `denied`; the last two stand alone. With `-L` a link is followed.
pub const PRELUDE: &str = r#"rn_limit() {
  rn_seconds=$1; shift
  if timeout 1 true 2>/dev/null; then timeout "$rn_seconds" "$@"; else "$@"; fi
}
rn_sum() {
  case "$rn_sums" in *"  $1
"*) rn_s=${rn_sums%%"  $1
"*}; printf '%s\n' "${rn_s##*
}"; return ;; esac
  # openssl takes longer to start and is several times faster, since it uses what the processor offers for this.
  if [ "$2" ] && rn_s=$(openssl dgst -sha256 -r <"$1" 2>/dev/null); then set -- "$rn_s"
  elif command -v sha256sum >/dev/null 2>&1; then set -- "$(sha256sum <"$1")"
  elif command -v openssl >/dev/null 2>&1; then set -- "$(openssl dgst -sha256 -r <"$1")"
  elif command -v shasum >/dev/null 2>&1; then set -- "$(shasum -a 256 <"$1")"
  else echo "this host has no tool for SHA-256 (sha256sum, openssl or shasum)" >&2; return 127; fi
  [ -n "$1" ] && printf '%s\n' "${1%% *}"
}
# One process looks at everything that the questions of a message are about. What it cannot tell is asked again.
rn_gather() {
  rn_t='	'
  rn_stats="$rn_stats
$(f=$1; shift; LC_ALL=C stat $f -c "$f$rn_t%n$rn_t%a$rn_t%u$rn_t%g$rn_t%s$rn_t%Y$rn_t%U$rn_t%G" -- "$@" 2>/dev/null)
"
}
rn_digest() {
  rn_sums="$(sha256sum -- "$@" 2>/dev/null)
"
}
rn_stat() {
  rn_t='	'
  if [ -z "$2" ] && [ -L "$1" ]; then rn_k=link
  elif [ -d "$1" ]; then rn_k=directory
  elif [ -f "$1" ]; then rn_k=file
  elif [ -e "$1" ]; then rn_k=other
  else
    rn_k=missing rn_d=$1
    while [ "${rn_d%/*}" != "$rn_d" ]; do
      rn_d=${rn_d%/*}
      if [ -d "${rn_d:-/}" ]; then [ -x "${rn_d:-/}" ] || rn_k=denied; break; fi
    done
    echo "$rn_k"; return 0
  fi
  case "$rn_stats" in *"
$2$rn_t$1$rn_t"*) rn_s=${rn_stats#*"
$2$rn_t$1$rn_t"}; printf '%s\n' "$rn_k$rn_t${rn_s%%
*}"; return ;; esac
  printf '%s' "$rn_k$rn_t"
  LC_ALL=C stat $2 -c "%a$rn_t%u$rn_t%g$rn_t%s$rn_t%Y$rn_t%U$rn_t%G" -- "$1" 2>/dev/null ||
    LC_ALL=C stat $2 -f "%Mp%Lp$rn_t%u$rn_t%g$rn_t%z$rn_t%m$rn_t%Su$rn_t%Sg" -- "$1" 2>/dev/null ||
    rn_columns "$1" $2
}
# No stat: read the columns of ls. A name of several lines is cut off.
rn_columns() (
  export LC_ALL=C
  s=$(ls -ldn $2 -- "$1") || return 1
  n=$(ls -ld $2 -- "$1") || return 1
  set -f; IFS=' 	
'
  set -- "$1" $n; u=$4 g=$5
  set -- "$1" $s; p=${2#?} x=0 m=
  for b in 4 2 1; do
    r=${p#???} w=${p%"${p#???}"} p=$r v=0
    case $w in r??) v=4 ;; esac
    case $w in ?w?) v=$((v + 2)) ;; esac
    case $w in ??[xst]) v=$((v + 1)) ;; esac
    case $w in ??[sStT]) x=$((x + b)) ;; esac
    m=$m$v
  done
  t=$rn_t
  printf '%s\n' "$x$m$t$4$t$5$t$6$t$(date -r "$1" +%s 2>/dev/null)$t$u$t$g"
)
"#;

/// Has a shell run a text that it reads from its standard input, since everyone on the host can read the arguments of a
/// process. What follows there is the text's own input.
#[derive(Debug)]
pub struct Unseen {
    /// What prints the text, and the input behind it, into the pipe that it ends with.
    pub feed: String,
    /// What the shell is to be given with `-c`. It shows nothing of the text but the number of its lines.
    pub script: String,
}

impl Unseen {
    /// For a shell of the Bourne kind. Without an input the text finds an empty one.
    pub fn new(text: &str, input: Option<&[u8]>) -> Self {
        let mut feed = format!("printf '%s\\n' {}", quote(text));
        if let Some(input) = input {
            feed.push_str(&format!("; {}", print_bytes(input)));
        }
        let own = match input {
            Some(_) => "",
            None => "exec </dev/null; ",
        };
        // A shell reads no byte beyond a line. A text that has not arrived as a whole is not run. All of it is one line, so
        // that the text's own lines count from one; a line end is the third sign that shells part words at.
        let script = format!(
            "rn_n={} rn_t= rn_s= rn_e=${{IFS#??}}; rn_e=${{rn_e%\"${{rn_e#?}}\"}}; \
             while [ $rn_n -gt 0 ]; do IFS= read -r rn_l || exit 1; \
             rn_t=$rn_t$rn_s$rn_l; rn_s=$rn_e; rn_n=$((rn_n - 1)); done; \
             {own}eval \"unset rn_n rn_t rn_s rn_e rn_l; $rn_t\"",
            text.split('\n').count()
        );
        Self {
            feed: format!("{{ {feed}; }} 2>/dev/null | "),
            script,
        }
    }

    /// Whether the shell of this name can do that.
    pub fn takes(shell: &str) -> bool {
        let name = shell.rsplit('/').next().unwrap_or(shell);
        ["sh", "dash", "ash", "bash", "ksh", "mksh", "zsh"].contains(&name)
    }
}

/// Quotes a word so that any shell takes it as one literal argument.
///
/// # Examples
///
/// ```
/// use runner::shell::quote;
/// assert_eq!(quote("bin/pulsar"), "bin/pulsar");
/// assert_eq!(quote("it's $HOME"), r"'it'\''s $HOME'");
/// assert_eq!(quote(""), "''");
/// ```
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_string();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Quotes and joins the words of a command.
pub fn join<S: AsRef<str>>(words: impl IntoIterator<Item = S>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| quote(word.as_ref())).collect();
    words.join(" ")
}

/// A `printf` command that prints exactly these bytes. NUL and other bytes that a shell cannot hold in a word
/// are written as octal escapes.
pub fn print_bytes(bytes: &[u8]) -> String {
    if let Ok(text) = std::str::from_utf8(bytes)
        && !text.contains('\0')
    {
        return format!("printf %s {}", quote(text));
    }
    let mut escaped = String::with_capacity(bytes.len() + bytes.len() / 2);
    for &byte in bytes {
        match byte {
            b'\\' => escaped.push_str(r"\\"),
            b'\n' | b' '..=b'~' => escaped.push(char::from(byte)),
            _ => escaped.push_str(&format!("\\0{byte:03o}")),
        }
    }
    // A format of %b takes escapes in the argument and leaves `%` alone.
    format!("printf %b {}", quote(&escaped))
}
