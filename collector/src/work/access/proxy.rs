//! People whom a reverse proxy has signed in: it names them in headers, and shows a secret that it alone has.

use axum::http::{HeaderMap, HeaderName};

use crate::config::token::Token;
use crate::config::{ProxyConfig, Whom};
use crate::model::role::Role;

/// Somebody whom the proxy named.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Person {
    /// As the proxy names them.
    pub name: String,
    /// What they may; none where the configuration names neither them nor a group of theirs.
    pub role: Option<Role>,
}

/// What the headers of a request say of a person.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Named {
    /// No proxy is configured, or none sent this.
    Nobody,
    /// It has a secret that is not the proxy's.
    Forged,
    /// The proxy sent it.
    Somebody(Person),
}

impl Person {
    /// Their name in the audit trail: no token has such a one.
    pub fn actor(&self) -> String {
        format!("user:{}", self.name)
    }
}

/// Whom these headers name.
pub(super) fn named(proxy: &ProxyConfig, headers: &HeaderMap) -> Named {
    let Some(secret) = the_only(headers, &SECRET) else {
        return if headers.contains_key(&SECRET) { Named::Forged } else { Named::Nobody };
    };
    if !Token::new(secret).is(&proxy.secret) {
        return Named::Forged;
    }
    let name = the_only(headers, &proxy.user).and_then(|value| str::from_utf8(value.trim_ascii()).ok());
    let Some(name) = name.filter(|name| is_name(name)) else { return Named::Nobody };
    let groups = match proxy.groups.as_ref().filter(|header| headers.contains_key(*header)) {
        None => "",
        Some(header) => match the_only(headers, header).and_then(|value| str::from_utf8(value).ok()) {
            Some(groups) => groups,
            None => return Named::Nobody,
        },
    };
    let groups: Vec<&str> = groups.split(',').map(str::trim).collect();
    let is_for = |whom: &Whom| match whom {
        Whom::Everyone => true,
        Whom::User(user) => user == name,
        Whom::Group(group) => groups.contains(&group.as_str()),
    };
    let roles = proxy.allowed.iter().filter(|(_, whom)| is_for(whom)).map(|(role, _)| *role);
    Named::Somebody(Person { name: name.to_owned(), role: roles.max() })
}

fn is_name(name: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.chars().any(char::is_control)
}

/// The value of a header that is there once: two may come of a client and of the proxy.
fn the_only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h [u8]> {
    let mut values = headers.get_all(name).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    Some(value.as_bytes())
}

/// The header with the proxy's secret.
const SECRET: HeaderName = HeaderName::from_static("x-tollgate-proxy-secret");
/// Longest name of a person.
const NAME_BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn proxy() -> ProxyConfig {
        let text = format!(
            "[access.proxy]\nsecret_sha256 = '{}'\ngroups = 'x-groups'\nread = ['*']\n\
             write = ['group:finops']\nadmin = ['user:ada@example.com']",
            Token::new("the secret").sha256()
        );
        Config::parse("t", &text).unwrap().access.proxy.unwrap()
    }

    fn ask(pairs: &[(&'static str, &str)]) -> Named {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        named(&proxy(), &headers)
    }

    fn role(user: &str, groups: &str) -> Option<Role> {
        let secret = ("x-tollgate-proxy-secret", "the secret");
        match ask(&[secret, ("x-forwarded-email", user), ("x-groups", groups)]) {
            Named::Somebody(person) => person.role,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_highest_role_of_a_person_and_their_groups_holds() {
        assert_eq!(role("bo@example.com", ""), Some(Role::Read));
        assert_eq!(role("bo@example.com", "sales, finops"), Some(Role::Write));
        assert_eq!(role("ada@example.com", "finops"), Some(Role::Admin));
        assert_eq!(role("bo@example.com", "user:ada@example.com,*"), Some(Role::Read));
        assert_eq!(role("finops", ""), Some(Role::Read), "a person's name is no group's");
    }

    #[test]
    fn only_the_proxy_names_somebody() {
        let (secret, user) =
            (("x-tollgate-proxy-secret", "the secret"), ("x-forwarded-email", "ada@example.com"));
        assert_eq!(ask(&[user]), Named::Nobody);
        assert_eq!(ask(&[secret]), Named::Nobody);
        assert_eq!(ask(&[("x-tollgate-proxy-secret", "another"), user]), Named::Forged);
        assert_eq!(ask(&[secret, ("x-tollgate-proxy-secret", "another"), user]), Named::Forged);
        assert_eq!(ask(&[secret, user, ("x-forwarded-email", "bo@example.com")]), Named::Nobody, "whom?");
        let twice = [secret, user, ("x-groups", "sales"), ("x-groups", "finops")];
        assert_eq!(ask(&twice), Named::Nobody, "one of them may be the client's");
        assert!(matches!(ask(&[secret, user]), Named::Somebody(_)));
    }

    #[test]
    fn a_proxy_that_lets_in_nobody_or_has_no_secret_is_refused() {
        let hash = Token::new("the secret").sha256();
        for (text, names) in [
            ("read = ['*']".to_owned(), "access.proxy.secret_sha256"),
            (format!("secret_sha256 = '{hash}'"), "lets nobody in"),
            (format!("secret_sha256 = '{hash}'\nread = ['ada']"), "`user:NAME`"),
            (format!("secret_sha256 = '{hash}'\nread = ['group:x']"), "access.proxy.groups"),
            (format!("secret_sha256 = '{hash}'\nread = ['*']\nuser = 'a b'"), "no header's name"),
            (
                format!("secret_sha256 = '{hash}'\nread = ['*']\nsign_out = 'javascript:x'"),
                "access.proxy.sign_out",
            ),
        ] {
            let refused = Config::parse("t", &format!("[access.proxy]\n{text}")).unwrap_err();
            assert!(format!("{refused:?}").contains(names), "{text}: {refused:?}");
        }
    }
}
