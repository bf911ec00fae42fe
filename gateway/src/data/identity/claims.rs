//! What a verified token must say before its claims count (RFC 9068 §4, RFC 7519, RFC 8725).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chartward_rules::record::Time;
use serde_json::{Map, Value};

/// Claims of one token, by name.
pub(super) type Claims = Map<String, Value>;

/// 9999-12-31T23:59:59Z. No honest token lasts longer.
const LAST_SECOND: i64 = 253_402_300_799;

/// What every token of an issuer is checked against.
pub(super) struct Expected {
    pub audience: Vec<String>,
    /// In lower case, without `application/`.
    pub token_type: Vec<String>,
    /// Seconds.
    pub leeway: i64,
}

impl Expected {
    /// Whether the header's `typ` marks an access token of this issuer.
    pub fn check_type(&self, typ: Option<&str>, claims: &Claims) -> Result<(), &'static str> {
        let typ = typ.ok_or("no `typ`")?.to_ascii_lowercase();
        let typ = typ.strip_prefix("application/").unwrap_or(&typ);
        if !self.token_type.iter().any(|accepted| accepted == typ) {
            return Err("`typ` is not accepted");
        }
        if claims.contains_key("events") {
            return Err("a security event or logout token");
        }
        let of_id_tokens = ["nonce", "at_hash", "c_hash", "s_hash"];
        if typ != "at+jwt" && of_id_tokens.iter().any(|name| claims.contains_key(*name)) {
            return Err("an id token");
        }
        Ok(())
    }

    /// Checks audience and times; returns the second at which the token ends.
    pub fn check(&self, claims: &Claims, now: Time) -> Result<i64, &'static str> {
        self.check_audience(claims)?;
        let expires = moment(claims, "exp", "`exp` is not a whole moment")?.ok_or("no `exp`")?;
        if now.0 >= expires * 1000 {
            return Err("expired");
        }
        let soon = now.seconds() + self.leeway;
        if moment(claims, "nbf", "`nbf` is not a whole moment")?.is_some_and(|nbf| nbf > soon) {
            return Err("not valid yet");
        }
        if moment(claims, "iat", "`iat` is not a whole moment")?.is_some_and(|iat| iat > soon) {
            return Err("issued in the future");
        }
        if claims.contains_key("act") {
            // D32 would cut the person's rights by the agent's; until that exists, neither
            return Err("`act` is not supported");
        }
        Ok(expires)
    }

    fn check_audience(&self, claims: &Claims) -> Result<(), &'static str> {
        let accepted = |name: &str| self.audience.iter().any(|own| own == name);
        let meant_for_us = match claims.get("aud") {
            None => return Err("no `aud`"),
            Some(Value::String(name)) => accepted(name),
            Some(Value::Array(names)) => {
                if !names.iter().all(Value::is_string) {
                    return Err("`aud` is neither a string nor strings");
                }
                names.iter().filter_map(Value::as_str).any(accepted)
            }
            Some(_) => return Err("`aud` is neither a string nor strings"),
        };
        if meant_for_us {
            Ok(())
        } else {
            Err("`aud` is another's")
        }
    }
}

/// SHA-256 of the certificate that the token is bound to, `None` where it is bound to nothing.
/// A binding that can't be checked is an error (RFC 7800, RFC 8705 §3.1).
pub(super) fn binding(claims: &Claims) -> Result<Option<[u8; 32]>, &'static str> {
    const UNKNOWN: &str = "`cnf` holds what can't be checked";
    let Some(cnf) = claims.get("cnf") else {
        return Ok(None);
    };
    let cnf = cnf.as_object().ok_or(UNKNOWN)?;
    match (cnf.get("x5t#S256").and_then(Value::as_str), cnf.len()) {
        (Some(thumbprint), 1) => {
            let bytes = URL_SAFE_NO_PAD.decode(thumbprint).map_err(|_| UNKNOWN)?;
            Ok(Some(bytes.try_into().map_err(|_| UNKNOWN)?))
        }
        _ => Err(UNKNOWN),
    }
}

/// A NumericDate without a fraction, between 1970 and 9999.
fn moment(claims: &Claims, name: &str, why: &'static str) -> Result<Option<i64>, &'static str> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::Number(number)) => match number.as_i64() {
            Some(second) if (0..=LAST_SECOND).contains(&second) => Ok(Some(second)),
            _ => Err(why),
        },
        Some(_) => Err(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_ends_with_the_second_of_its_exp() {
        let expected = Expected {
            audience: vec!["a".to_owned()],
            token_type: Vec::new(),
            leeway: 60,
        };
        let claims = serde_json::json!({"aud": "a", "exp": 1000});
        let check = |ms| expected.check(claims.as_object().unwrap(), Time(ms));
        assert_eq!(check(999_999), Ok(1000));
        assert_eq!(check(1_000_000), Err("expired"));
    }
}
