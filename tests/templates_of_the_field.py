"""Chat templates as families of models in the field write them, made small: what they do to thoughts, blanks and tool calls."""

SPLIT = """{%- set thought = '' %}{%- if m.reasoning_content is string %}{%- set thought = m.reasoning_content %}
{%- elif '</think>' in body %}
{%- set thought = body.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
{%- set body = body.split('</think>')[-1].lstrip('\\n') %}{%- endif %}"""

QWEN3 = (
    """{%- if tools %}{{- '<|system|>' }}{%- for tool in tools %}{{- tool | tojson + '\\n' }}{%- endfor %}{{- '<|end|>\\n' }}{%- endif %}
{%- set ns = namespace(last=messages | length - 1, found=false) %}
{%- for m in messages[::-1] %}{%- if not ns.found and m.role == 'user' and m.content is string %}
{%- set ns.found = true %}{%- set ns.last = messages | length - 1 - loop.index0 %}{%- endif %}{%- endfor %}
{%- for m in messages %}{%- set body = m.content if m.content is string else '' %}
{%- if m.role == 'assistant' %}"""
    + SPLIT
    + """
{%- if loop.index0 > ns.last and (loop.last or thought) %}
{{- '<|assistant|><think>\\n' + thought.strip('\\n') + '\\n</think>\\n\\n' + body.lstrip('\\n') }}
{%- else %}{{- '<|assistant|>' + body }}{%- endif %}
{%- for call in m.tool_calls or [] %}{%- set call = call.function or call %}
{{- '\\n<tool_call>\\n{"name": "' + call.name + '", "arguments": ' }}
{{- call.arguments if call.arguments is string else call.arguments | tojson }}{{- '}\\n</tool_call>' }}{%- endfor %}{{- '<|end|>\\n' }}
{%- elif m.role == 'tool' %}{{- '<|user|><tool_response>\\n' + body + '\\n</tool_response><|end|>\\n' }}
{%- else %}{{- '<|' + m.role + '|>' + body + '<|end|>\\n' }}{%- endif %}{%- endfor %}
{%- if add_generation_prompt %}{{- '<|assistant|>' }}{%- endif %}"""
)
TRIMMED = QWEN3.replace(" if m.content is string else ''", " | trim").replace(
    "thought.strip('\\n')", "(thought | trim)"
)
GLM = (
    "{%- for m in messages %}{%- set body = m.content %}{%- if m.role == 'assistant' %}"
    + SPLIT
    + """{{- '<|assistant|>' }}{{- '\\n<think>' + thought.strip() + '</think>' if thought else '\\n<think></think>' }}
{%- if body.strip() %}{{- '\\n' + body.strip() }}{%- endif %}{%- else %}{{- '<|' + m.role + '|>\\n' + body }}{%- endif %}{%- endfor %}"""
)
NEMOTRON = """{%- for m in messages %}{%- set body = m.content %}{%- if m.role == 'assistant' %}
{%- if '<think>' not in body and '</think>' not in body %}{%- set body = '<think></think>' ~ body %}{%- endif %}
{%- set body = body if loop.last or '</think>' not in body else '<think></think>' ~ body.split('</think>')[-1] %}
{{- '<|assistant|>' ~ body | trim ~ '<|end|>\\n' }}{%- else %}{{- '<|' ~ m.role ~ '|>' ~ body ~ '<|end|>\\n' }}{%- endif %}{%- endfor %}"""
DEEPSEEK_R1 = """{%- for m in messages %}{%- if m.role == 'assistant' and m.content is defined and m.content is not none %}
{{- '<|assistant|>' + m.content.split('</think>')[-1] + '<|end|>' }}{%- elif m.role == 'assistant' %}
{%- for call in m.tool_calls %}{{- '<|assistant|>' + call.function.name + '\\n' + call.function.arguments + '<|end|>' }}{%- endfor %}
{%- else %}{{- '<|' + m.role + '|>' + m.content }}{%- endif %}{%- endfor %}"""
BRACKETS = """{%- for m in messages %}{%- if m.role == 'assistant' %}{%- set parts = m.content.split('[/THINK]') %}
{{- '<|assistant|>' }}{%- if parts | length > 1 %}{{- '<|analysis|>' + parts[0].replace('[THINK]', '') | trim + '<|final|>' }}{%- endif %}
{{- parts[-1] | trim + '<|end|>' }}{%- else %}{{- '<|' + m.role + '|>' + m.content }}{%- endif %}{%- endfor %}"""
LLAMA31 = """{%- for m in messages %}{%- if m.tool_calls %}
{%- if m.tool_calls | length != 1 %}{{- raise_exception('one call at once') }}{%- endif %}
{%- set call = m.tool_calls[0].function %}
{{- '<|assistant|>{"name": "' + call.name + '", "parameters": ' }}{{- call.arguments | tojson + '}<|end|>' }}
{%- elif m.role == 'tool' or m.role == 'ipython' %}{{- '<|ipython|>' + m.content + '<|end|>' }}
{%- else %}{{- '<|' + m.role + '|>' + m.content | trim + '<|end|>' }}{%- endif %}{%- endfor %}"""
WITHOUT_SYSTEM = (
    "{%- for m in messages %}{%- if m.role != 'system' %}{{- '<|' + m.role + '|>' + m.content | trim + '<|end|>\\n' }}"
    "{%- endif %}{%- endfor %}"
)
IN_PARTS = (
    "{%- for m in messages %}{{- '<|' + m.role + '|>' }}{%- for part in m.content %}{%- if part.type == 'text' %}{{- part.text }}"
    "{%- endif %}{%- endfor %}{{- '<|end|>' }}{%- endfor %}"
)
ARGUMENTS_AS_ITEMS = """{%- for m in messages %}{{- '<|' + m.role + '|>' + m.content }}{%- for call in m.tool_calls or [] %}
{{- '<tool_call>' + call.function.name }}{%- for k, v in call.function.arguments.items() %}{{- k + '=' + v }}{%- endfor %}{%- endfor %}
{{- '<|end|>' }}{%- endfor %}"""

REASONING = {
    "qwen3": QWEN3, "trimmed": TRIMMED, "glm": GLM, "nemotron": NEMOTRON, "deepseek": DEEPSEEK_R1, "brackets": BRACKETS,
}  # fmt: skip
