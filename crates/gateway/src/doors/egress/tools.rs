//! The tools as `tools/list` shows them.

use doorward_core::syntax::Object;

/// A member of a tool's arguments: name, type, description, whether it must be there.
type Member = (&'static str, &'static str, &'static str, bool);

const TOKEN: Member = ("sess_token", "string", "the session's token, from audit_sess", true);
const SIGNATURE: Member =
    ("sig", "string", "HMAC-SHA256 of the call by the key's secret, 64 hexadecimal digits", true);
const TIME: Member = ("ts", "integer", "when it is signed, in seconds since 1970", true);

/// Name, description, arguments. Other names of the same tools are taken and not shown.
const ALL: &[(&str, &str, &[Member])] = &[
    (
        "audit_sess",
        "Opens a session of 30 minutes for a key.",
        &[
            ("key_id", "string", "the key", true),
            ("agent_id", "string", "the agent's own name, 1 to 64 letters, digits, _ and -", true),
            ("ts", "string", "when it is signed, in seconds since 1970", true),
            ("client_nonce", "string", "a value that is used once", true),
            SIGNATURE,
        ],
    ),
    (
        "sphyr_net",
        "Sends an HTTPS request and gives back the answer, if Doorward's policy allows it.",
        &[
            TOKEN,
            ("url", "string", "where it goes: https://host/path", true),
            ("mthd", "string", "GET, POST, PUT, PATCH, DELETE or HEAD", true),
            ("cat", "string", "what it is for, 1 to 64 characters", true),
            ("body", "string", "what is sent", false),
            ("headers", "object", "header lines, each name once", false),
            ("trace_id", "string", "what you follow it by", false),
            ("preflight", "boolean", "check it and do not send it", false),
            TIME,
            SIGNATURE,
        ],
    ),
    ("agent_guard_up", "Whether the gateway works.", &[TOKEN]),
    ("user_bal", "How many credits the key has left.", &[TOKEN]),
    ("usage_summary", "What came of the calls of the key.", &[TOKEN, TIME, SIGNATURE]),
];

/// The result of `tools/list`.
pub fn list() -> Vec<u8> {
    let tools = ALL.iter().map(|(name, description, members)| {
        let properties = members.iter().fold(Object::new(), |object, (name, kind, description, _)| {
            object.raw(name, &Object::new().text("type", kind).text("description", description).end())
        });
        let required = members.iter().filter(|member| member.3);
        let required = required.map(|(name, ..)| doorward_core::syntax::json::quoted(name));
        let schema = Object::new()
            .text("type", "object")
            .raw("properties", &properties.end())
            .array("required", required)
            .end();
        Object::new().text("name", name).text("description", description).raw("inputSchema", &schema).end()
    });
    Object::new().array("tools", tools).end()
}

#[cfg(test)]
mod tests {
    use doorward_core::syntax::json;
    use doorward_core::wire::sphyr::call::TOOLS;

    #[test]
    fn what_is_listed_is_taken() {
        let list = json::parse(&super::list()).unwrap();
        let tools = list.get("tools").unwrap().elements();
        assert_eq!(tools.len(), 5);
        for tool in tools {
            assert!(TOOLS.contains(&tool.text("name").unwrap()));
            assert!(tool.get("inputSchema").unwrap().get("required").is_some());
        }
    }
}
