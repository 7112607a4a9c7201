//! What a request asks its provider to do by itself: search, fetch a URL, run code, call a tool server.
//!
//! Such a call is never held, because nobody but the provider runs it. It is controlled here, where it is
//! requested: each becomes an effect of the request, which a policy judges like the effects of a call. `by` is
//! the name a policy's `tool` is compared with.

use crate::action::{AssetClass, Capability, Effect, Target, asset};
use crate::syntax::Node;
use crate::wire::anthropic::inline_tools;

/// The most effects of one request; beyond it one more stands for the rest.
const MOST: usize = 1024;

/// What kinds of tools providers run, by how their type begins.
const TOOLS: &[(&str, Capability)] = &[
    ("web_search", Capability::NetworkFetch),
    ("web_fetch", Capability::NetworkFetch),
    ("openrouter:web", Capability::NetworkFetch),
    ("browser_search", Capability::NetworkFetch),
    ("google_search", Capability::NetworkFetch),
    ("x_search", Capability::NetworkFetch),
    ("code_execution", Capability::Execute),
    ("code_interpreter", Capability::Execute),
    ("file_search", Capability::ReadFile),
    ("image_generation", Capability::Unknown),
    ("mcp", Capability::McpInvoke),
];

/// The effects gathered so far.
#[derive(Debug, Default)]
struct Asked(Vec<Effect>);

/// What an Anthropic request asks for.
pub(crate) fn anthropic(request: &Node) -> Vec<Effect> {
    let mut asked = Asked::default();
    for tool in list(request, "tools").iter().chain(inline_tools(request)) {
        asked.tool(tool);
    }
    for server in list(request, "mcp_servers") {
        let by = server.text("name").unwrap_or("mcp");
        asked.url(by, Capability::McpInvoke, server.text("url").unwrap_or_default());
    }
    if request.some("container").is_some() {
        asked.add("container", Capability::Execute, Target::Other("the provider's container".into()));
    }
    if let Some(system) = request.get("system") {
        asked.sources(system);
    }
    list(request, "messages")
        .iter()
        .filter_map(|message| message.get("content"))
        .for_each(|c| asked.sources(c));
    asked.0
}

/// What an OpenAI Chat Completions request asks for, in its own form and in those of resellers.
pub(crate) fn openai_chat(request: &Node) -> Vec<Effect> {
    let mut asked = Asked::default();
    for tool in list(request, "tools") {
        asked.tool(tool);
    }
    // OpenAI's field, xAI's.
    for key in ["web_search_options", "search_parameters"] {
        if let Some(options) = request.some(key).filter(|options| options.text("mode") != Some("off")) {
            asked.search("web_search", Capability::NetworkFetch, options);
        }
    }
    for plugin in list(request, "plugins") {
        let by = plugin.text("id").unwrap_or("plugin");
        asked.search(by, Capability::NetworkFetch, plugin);
    }
    if request.text("model").is_some_and(|model| model.ends_with(":online")) {
        asked.search("web", Capability::NetworkFetch, request);
    }
    for message in list(request, "messages") {
        for part in message.get("content").map(Node::elements).unwrap_or_default() {
            for key in ["image_url", "video_url", "file", "input_audio"] {
                let Some(source) = part.get(key) else { continue };
                let url = source.as_str().or_else(|| source.text("url")).or_else(|| source.text("file_data"));
                asked.fetched(key, url.unwrap_or_default());
            }
        }
    }
    asked.0
}

/// What an OpenAI Responses request asks for.
pub(crate) fn openai_responses(request: &Node) -> Vec<Effect> {
    let mut asked = Asked::default();
    for tool in list(request, "tools") {
        asked.tool(tool);
    }
    for item in list(request, "input") {
        // Codex declares its tools in an item.
        for tool in list(item, "tools") {
            asked.tool(tool);
        }
        for part in ["content", "output"].iter().filter_map(|key| item.get(key)).flat_map(each) {
            asked.inputs(part);
        }
    }
    // What a stored prompt is filled in with.
    let variables = request.get("prompt").and_then(|prompt| prompt.get("variables"));
    for member in variables.map(Node::members).unwrap_or_default() {
        asked.inputs(&member.value);
    }
    asked.0
}

/// The tools that Gemini's provider runs, by the field that asks for them.
const GEMINI: &[(&str, Capability)] = &[
    ("googleSearch", Capability::NetworkFetch),
    ("googleSearchRetrieval", Capability::NetworkFetch),
    ("enterpriseWebSearch", Capability::NetworkFetch),
    ("parallelAiSearch", Capability::NetworkFetch),
    ("exaAiSearch", Capability::NetworkFetch),
    ("googleMaps", Capability::NetworkFetch),
    ("urlContext", Capability::NetworkFetch),
    ("codeExecution", Capability::Execute),
    ("fileSearch", Capability::ReadFile),
    ("retrieval", Capability::ReadFile),
];

/// What one of Gemini's requests asks for. `fields` finds the values of a field in either of its spellings.
pub(crate) fn gemini<'n, I>(request: &'n Node, fields: impl Fn(&'n Node, &'static str) -> I) -> Vec<Effect>
where
    I: Iterator<Item = &'n Node>,
{
    let mut asked = Asked::default();
    for tool in fields(request, "tools").flat_map(each) {
        for (name, capability) in GEMINI {
            for options in fields(tool, name) {
                asked.search(name, *capability, options);
            }
        }
        for server in fields(tool, "mcpServers").flat_map(each) {
            let transport = fields(server, "streamableHttpTransport").next();
            let url = transport.and_then(|transport| transport.text("url")).unwrap_or_default();
            asked.url(server.text("name").unwrap_or("mcp"), Capability::McpInvoke, url);
        }
    }
    let said = ["contents", "content", "systemInstruction"]
        .into_iter()
        .flat_map(|key| fields(request, key))
        .flat_map(each);
    for part in said.flat_map(|said| fields(said, "parts").flat_map(each).chain(std::iter::once(said))) {
        // What a function gave back has parts of its own.
        let given = fields(part, "functionResponse").flat_map(|given| fields(given, "parts")).flat_map(each);
        for data in std::iter::once(part).chain(given).flat_map(|part| fields(part, "fileData")) {
            for uri in fields(data, "fileUri") {
                asked.fetched("fileData", uri.as_str().unwrap_or_default());
            }
        }
    }
    asked.0
}

/// The elements of a list, or what stands there instead of one: some providers take either.
fn each(node: &Node) -> &[Node] {
    if node.is_array() { node.elements() } else { std::slice::from_ref(node) }
}

fn list<'n>(node: &'n Node, key: &str) -> &'n [Node] {
    node.get(key).map(Node::elements).unwrap_or_default()
}

impl Asked {
    fn add(&mut self, by: &str, capability: Capability, target: Target) {
        let asset = match &target {
            Target::Url(url) | Target::Host(url) => asset::classify_host(url),
            _ => AssetClass::External,
        };
        self.effect(Effect { capability, target, asset, from: Vec::new(), by: by.to_owned() });
    }

    fn effect(&mut self, effect: Effect) {
        if self.0.len() < MOST {
            // The same picture is sent again with every turn.
            if !self.0.contains(&effect) {
                self.0.push(effect);
            }
        } else if self.0.len() == MOST {
            let target = Target::Other("more than could be looked at".into());
            self.0.push(Effect {
                capability: Capability::Unknown,
                target,
                asset: AssetClass::Unknown,
                ..effect
            });
        }
    }

    fn url(&mut self, by: &str, capability: Capability, url: &str) {
        let target = if url.is_empty() {
            Target::Other("a server the provider knows".into())
        } else {
            Target::Url(url.into())
        };
        self.add(by, capability, target);
    }

    /// A tool by its type; those without a known one are the agent's own.
    fn tool(&mut self, tool: &Node) {
        let kind = tool.text("type").unwrap_or_default();
        if kind == "namespace" {
            list(tool, "tools").iter().for_each(|tool| self.tool(tool));
            return;
        }
        if kind == "shell" {
            let environment = tool.some("environment").and_then(|e| e.text("type")).unwrap_or_default();
            if environment.starts_with("container") {
                self.add("shell", Capability::Execute, Target::Other("the provider's container".into()));
            }
            return;
        }
        // Moonshot's own functions go by a name that no client's has.
        if kind == "builtin_function" {
            let name = tool.get("function").and_then(|function| function.text("name")).unwrap_or(kind);
            return self.add(
                name,
                Capability::NetworkFetch,
                Target::Other("what the provider chooses".into()),
            );
        }
        let Some((_, capability)) = TOOLS.iter().find(|(name, _)| kind.starts_with(name)) else { return };
        if kind == "mcp" {
            let by = tool.text("server_label").unwrap_or("mcp");
            return self.url(by, Capability::McpInvoke, tool.text("server_url").unwrap_or_default());
        }
        // `mcp_toolset` only names a server that is listed elsewhere.
        if kind.starts_with("mcp") {
            return;
        }
        let by = tool.text("name").unwrap_or(kind);
        self.search(by, *capability, tool);
    }

    /// A tool that reaches what the provider chooses, or only the domains it is given.
    fn search(&mut self, by: &str, capability: Capability, tool: &Node) {
        let filters = tool.get("filters").unwrap_or(tool);
        let domains = list(filters, "allowed_domains");
        let known: Vec<&str> = domains.iter().filter_map(Node::as_str).collect();
        if known.is_empty() || known.len() < domains.len() {
            return self.add(by, capability, Target::Other("what the provider chooses".into()));
        }
        for domain in known {
            self.add(by, capability, Target::Host(domain.to_owned()));
        }
    }

    /// A URL that the provider fetches; data given in place is none.
    fn fetched(&mut self, by: &str, url: &str) {
        let scheme = url.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
        if scheme.is_some_and(|scheme| scheme != "data") {
            self.add(by, Capability::NetworkFetch, Target::Url(url.to_owned()));
        }
    }

    /// The URLs of one of Responses' inputs.
    fn inputs(&mut self, part: &Node) {
        for key in ["image_url", "file_url"] {
            self.fetched(key, part.text(key).unwrap_or_default());
        }
    }

    /// The sources of Anthropic content blocks, those inside of tool results and documents included.
    fn sources(&mut self, content: &Node) {
        for block in content.elements() {
            if let Some(source) = block.get("source") {
                self.fetched(block.text("type").unwrap_or("source"), source.text("url").unwrap_or_default());
                // A document may be made of blocks.
                source.get("content").into_iter().for_each(|inner| self.sources(inner));
            }
            block.get("content").into_iter().for_each(|inner| self.sources(inner));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::json;

    fn tell(effects: &[Effect]) -> Vec<String> {
        effects.iter().map(|e| format!("{} {} {}", e.by, e.capability.as_str(), e.target.as_str())).collect()
    }

    #[test]
    fn tools_defined_in_messages_are_asked_for_too() {
        let addition = r#"{"type":"tool_addition","tool":{"type":"tool_definition","definition":{"type":"web_fetch_20260318","name":"web_fetch"}}}"#;
        let asked = |role: &str| {
            let request = format!(r#"{{"messages":[{{"role":"{role}","content":[{addition}]}}]}}"#);
            tell(&anthropic(&json::parse(request.as_bytes()).unwrap()))
        };
        assert_eq!(asked("system"), ["web_fetch network:fetch what the provider chooses"]);
        assert!(asked("assistant").is_empty());
    }

    #[test]
    fn what_providers_are_asked_to_do_is_an_effect() {
        let request = json::parse(
            br#"{"tools":[{"name":"Bash","input_schema":{}},{"type":"web_search_20250305","name":"web_search","allowed_domains":["docs.example"]},
            {"type":"code_execution_20250825","name":"code_execution"},{"type":"mcp_toolset","mcp_server_name":"m"}],
            "mcp_servers":[{"type":"url","url":"https://mcp.example/sse","name":"m"}],"container":"c1",
            "messages":[{"role":"user","content":[{"type":"image","source":{"type":"url","url":"https://a.example/x.png"}},
            {"type":"image","source":{"type":"base64","data":"AAAA"}},
            {"type":"tool_result","content":[{"type":"image","source":{"type":"url","url":"https://b.example/y.png"}}]}]}]}"#,
        )
        .unwrap();
        assert_eq!(
            tell(&anthropic(&request)),
            [
                "web_search network:fetch docs.example",
                "code_execution execute:shell what the provider chooses",
                "m mcp:invoke https://mcp.example/sse",
                "container execute:shell the provider's container",
                "image network:fetch https://a.example/x.png",
                "image network:fetch https://b.example/y.png",
            ]
        );
        let request = json::parse(
            br#"{"model":"m:online","web_search_options":{},"tools":[{"type":"function","function":{"name":"web_search"}}],
            "messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://a.example/x.png"}},
            {"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}]}"#,
        )
        .unwrap();
        assert_eq!(
            tell(&openai_chat(&request)),
            [
                "web_search network:fetch what the provider chooses",
                "web network:fetch what the provider chooses",
                "image_url network:fetch https://a.example/x.png",
            ]
        );
        let request = json::parse(
            br#"{"tools":[{"type":"mcp","server_label":"deep","server_url":"https://mcp.example/"},{"type":"function","name":"f"},
            {"type":"web_search","filters":{"allowed_domains":["x.example"]}},{"type":"code_interpreter","container":{"type":"auto"}}],
            "input":[{"type":"additional_tools","tools":[{"type":"namespace","tools":[{"type":"web_search"}]}]},
            {"role":"user","content":[{"type":"input_image","image_url":"https://a.example/x.png"}]}]}"#,
        )
        .unwrap();
        assert_eq!(
            tell(&openai_responses(&request)),
            [
                "deep mcp:invoke https://mcp.example/",
                "web_search network:fetch x.example",
                "code_interpreter execute:shell what the provider chooses",
                "web_search network:fetch what the provider chooses",
                "image_url network:fetch https://a.example/x.png",
            ]
        );
    }

    #[test]
    fn what_gemini_is_asked_to_do_is_an_effect() {
        let body = br#"{"tools":[{"functionDeclarations":[{"name":"f"}]},{"google_search":{}},{"urlContext":{},"codeExecution":{}},
            {"mcpServers":[{"name":"m","streamableHttpTransport":{"url":"https://mcp.example/"}}]}],
            "contents":[{"parts":[{"fileData":{"fileUri":"https://a.example/x.pdf","mimeType":"application/pdf"}},{"text":"x"}]}]}"#;
        let request = crate::wire::dialect::Dialect::Gemini.read_request(body).unwrap();
        assert_eq!(
            tell(&request.effects),
            [
                "googleSearch network:fetch what the provider chooses",
                "urlContext network:fetch what the provider chooses",
                "codeExecution execute:shell what the provider chooses",
                "m mcp:invoke https://mcp.example/",
                "fileData network:fetch https://a.example/x.pdf",
            ]
        );
    }

    /// Each of these is something providers take, in a place or a shape beside the usual one.
    #[test]
    fn nothing_hides_what_a_provider_is_asked_to_do() {
        type Reading = fn(&Node) -> Vec<Effect>;
        for (reading, body, effect) in [
            (
                openai_chat as Reading,
                r#"{"tools":[{"type":"web_search","function":{"name":"f"}}]}"#,
                "web_search network:fetch what the provider chooses",
            ),
            (
                openai_chat,
                r#"{"tools":[{"type":"builtin_function","function":{"name":"$web_search"}}]}"#,
                "$web_search network:fetch what the provider chooses",
            ),
            (
                openai_chat,
                r#"{"search_parameters":{"mode":"auto"}}"#,
                "web_search network:fetch what the provider chooses",
            ),
            (
                openai_responses,
                r#"{"tools":[{"type":"shell","environment":{"type":"container_auto"}}]}"#,
                "shell execute:shell the provider's container",
            ),
            (
                openai_responses,
                r#"{"input":[{"type":"computer_call_output","output":{"type":"computer_screenshot","image_url":"https://a.example/x.png"}}]}"#,
                "image_url network:fetch https://a.example/x.png",
            ),
            (
                openai_responses,
                r#"{"prompt":{"id":"p","variables":{"v":{"type":"input_image","image_url":"https://a.example/x.png"}}}}"#,
                "image_url network:fetch https://a.example/x.png",
            ),
            (
                anthropic,
                r#"{"messages":[{"content":[{"type":"document","source":{"type":"content","content":[{"type":"image","source":{"type":"url","url":"https://a.example/x.png"}}]}}]}]}"#,
                "image network:fetch https://a.example/x.png",
            ),
            (
                anthropic,
                r#"{"messages":[{"content":[{"type":"tool_result","content":[{"type":"document","source":{"type":"content","content":[{"type":"image","source":{"type":"url","url":"https://a.example/x.png"}}]}}]}]}]}"#,
                "image network:fetch https://a.example/x.png",
            ),
        ] {
            assert_eq!(tell(&reading(&json::parse(body.as_bytes()).unwrap())), [effect], "{body}");
        }
        for (body, effect) in [
            (
                r#"{"tools":{"google_search":{}},"contents":{"parts":{"text":"x"}}}"#,
                "googleSearch network:fetch what the provider chooses",
            ),
            (
                r#"{"contents":{"parts":{"file_data":{"file_uri":"https://a.example/x.pdf"}}}}"#,
                "fileData network:fetch https://a.example/x.pdf",
            ),
            (
                r#"{"systemInstruction":{"parts":[{"fileData":{"fileUri":"https://a.example/x.pdf"}}]}}"#,
                "fileData network:fetch https://a.example/x.pdf",
            ),
            (
                r#"{"contents":[{"parts":[{"functionResponse":{"name":"f","parts":[{"fileData":{"fileUri":"https://a.example/x.pdf"}}]}}]}]}"#,
                "fileData network:fetch https://a.example/x.pdf",
            ),
        ] {
            let request = crate::wire::dialect::Dialect::Gemini.read_request(body.as_bytes()).unwrap();
            assert_eq!(tell(&request.effects), [effect], "{body}");
        }
        // A shell of the client's own, a search that is off.
        let own = json::parse(br#"{"tools":[{"type":"shell","environment":{"type":"local"}}]}"#).unwrap();
        assert!(openai_responses(&own).is_empty());
        let off = json::parse(br#"{"search_parameters":{"mode":"off"}}"#).unwrap();
        assert!(openai_chat(&off).is_empty());
    }

    #[test]
    fn a_flood_of_urls_is_bounded() {
        let parts: Vec<String> = (0..3000)
            .map(|n| format!(r#"{{"type":"image_url","image_url":{{"url":"https://a.example/{n}"}}}}"#))
            .collect();
        let body = format!(r#"{{"messages":[{{"role":"user","content":[{}]}}]}}"#, parts.join(","));
        let effects = openai_chat(&json::parse(body.as_bytes()).unwrap());
        assert_eq!(effects.len(), MOST + 1);
        assert_eq!(effects.last().map(|effect| effect.capability), Some(Capability::Unknown));
    }
}
