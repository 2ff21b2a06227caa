# SPDX-License-Identifier: Apache-2.0
"""Templates: the built-in ones, the sandbox, and conversations as they take them."""

import pytest

from cowabungaai_llama_cpp import conversation, templates
from cowabungaai_llama_cpp.templates import ChatTemplate, RefusedError
from cowabungaai_sdk.errors import InvalidRequestError
from cowabungaai_sdk.models import ModelError
from cowabungaai_sdk.v1.chat_pb2 import (
    ROLE_ASSISTANT,
    ROLE_DEVELOPER,
    ROLE_TOOL,
    ROLE_USER,
    ChatMessage,
    ContentPart,
    Tool,
    ToolCall,
)

TURNS = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello"},
    {"role": "user", "content": "Bye"},
]

WRITTEN = {
    "alpaca": "Be brief.\n\n### Instruction:\nHi\n\n### Response:\nHello\n\n### Instruction:\nBye\n\n### Response:\n",
    "chatml": "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
    "<|im_start|>assistant\nHello<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n",
    "gemma": "<bos><start_of_turn>user\nBe brief.\n\nHi<end_of_turn>\n<start_of_turn>model\nHello<end_of_turn>\n"
    "<start_of_turn>user\nBye<end_of_turn>\n<start_of_turn>model\n",
    "llama3": "<bos><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
    "Hello<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nBye<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n",
    "mistral": "<bos>[INST] Be brief.\n\nHi [/INST] Hello<eos>[INST] Bye [/INST]",
    "plain": "Be brief.\n\nUser: Hi\nAssistant: Hello\nUser: Bye\nAssistant:",
    "zephyr": "<|system|>\nBe brief.<eos>\n<|user|>\nHi<eos>\n<|assistant|>\nHello<eos>\n<|user|>\nBye<eos>\n"
    "<|assistant|>\n",
}


def template(source: str, name: str | None = None) -> ChatTemplate:
    return ChatTemplate(source, "<bos>", "<eos>", name)


def test_all_built_in_templates_are_tested():
    assert templates.names() == sorted(WRITTEN)


@pytest.mark.parametrize("name", WRITTEN)
def test_built_in_templates(name):
    assert template(*templates.read(name)).render(TURNS, None) == WRITTEN[name]


def test_template_from_a_file(tmp_path):
    path = tmp_path / "mine.jinja"
    path.write_text("{{ messages[0].content }}!")
    assert templates.read(str(path)) == ("{{ messages[0].content }}!", None)


def test_unknown_template_is_refused():
    with pytest.raises(ModelError, match="neither a file nor the name of a template; expected alpaca, chatml"):
        templates.read("alpacca")


def test_wrong_jinja_is_refused():
    with pytest.raises(ModelError, match="is no Jinja"):
        template("{% if %}")


@pytest.mark.parametrize(
    "source",
    [
        "{{ messages.__class__.__mro__ }}",
        "{{ ''.__class__.__base__.__subclasses__() }}",
        "{{ raise_exception('not so') }}",
        "{{ messages[0].content + 1 }}",
        "{{ messages.append(1) }}",
        "{% for i in range(1000000000) %}{% endfor %}",
        "{{ nothing.at_all }}",
    ],
)
def test_templates_reach_nothing_and_fail_alone(source):
    with pytest.raises(RefusedError):
        template(source).render(TURNS, None)


def test_what_templates_of_others_use():
    source = "{{ messages|tojson }}{{ strftime_now('%Y')|length }}{% for m in messages %}{% break %}{% endfor %}"
    assert template(source).render([{"content": "<é>"}], None) == '[{"content": "<é>"}]4'


def messages() -> list[ChatMessage]:
    call = ToolCall(id="c1", name="clock", arguments='{"zone": "UTC"}')
    return [
        ChatMessage(role=ROLE_DEVELOPER, content=[ContentPart(text="Be"), ContentPart(text="brief")]),
        ChatMessage(role=ROLE_USER, content=[ContentPart(text="Time?")]),
        ChatMessage(role=ROLE_ASSISTANT, tool_calls=[call]),
        ChatMessage(role=ROLE_TOOL, tool_call_id="c1", content=[ContentPart(text="12:30")]),
    ]


TOOLS = [Tool(name="clock", description="tells the time")]


def test_template_that_knows_tools_gets_them():
    source = (
        "{{ tools[0].function.name }} {{ messages[2].tool_calls[0].function.arguments.zone }} {{ messages[3].role }}"
    )
    assert conversation.write(template(source), messages(), TOOLS, "messages") == "clock UTC tool"


def test_other_templates_are_told_in_words():
    written = conversation.write(template(*templates.read("chatml")), messages(), TOOLS, "messages")
    assert 'Be\nbrief\n\nYou can call these functions:\n{"name": "clock"' in written
    assert 'assistant\n{"name": "clock", "arguments": {"zone": "UTC"}}<|im_end|>' in written
    assert "user\nResult of clock:\n12:30<|im_end|>" in written


def test_refusal_of_a_template_names_the_messages():
    with pytest.raises(InvalidRequestError, match="cannot write messages: roles must alternate") as raised:
        conversation.write(template("{{ raise_exception('roles must alternate') }}"), messages(), [], "messages")
    assert raised.value.param == "messages"


def test_arguments_that_are_no_json_stay_text():
    found = [ChatMessage(role=ROLE_ASSISTANT, tool_calls=[ToolCall(id="a", name="b", arguments="{not")])]
    source = "tools {{ messages[0].tool_calls[0].function.arguments }}"
    assert conversation.write(template(source), found, [], "messages") == "tools {not"
