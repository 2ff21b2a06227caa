# SPDX-License-Identifier: Apache-2.0
"""Whether a contract still serves those who use its last release: what generate.py --check-compatible finds.

Compared are the descriptors that protoc makes. Additions are free; what a client or a backend of the last release sends
must still mean the same, and Python code that was written with its stubs must still run.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    EnumValueDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
)

Member = FieldDescriptorProto | EnumValueDescriptorProto


@dataclass(slots=True)
class _Contract:
    """Everything in a contract by its full name, with the file that it is in."""

    packages: dict[str, str] = field(default_factory=dict)
    messages: dict[str, tuple[str, DescriptorProto]] = field(default_factory=dict)
    enums: dict[str, tuple[str, EnumDescriptorProto]] = field(default_factory=dict)
    services: dict[str, tuple[str, ServiceDescriptorProto]] = field(default_factory=dict)

    def add_message(self, file: str, scope: str, message: DescriptorProto) -> None:
        name = f"{scope}.{message.name}"
        self.messages[name] = (file, message)
        for enum in message.enum_type:
            self.enums[f"{name}.{enum.name}"] = (file, enum)
        for nested in message.nested_type:
            self.add_message(file, name, nested)


def problems(released: FileDescriptorSet, present: FileDescriptorSet) -> list[str]:
    """Lists what the present contract breaks.

    Args:
        released: the contract of the last release.
        present: the contract now.

    Returns:
        One line a problem: file, message and field, and what changed; empty where nothing is broken.
    """
    old, new = _contract(released), _contract(present)
    return [
        *_changed_packages(old, new),
        *_lost("message", old.messages, new.messages),
        *_lost("enum", old.enums, new.enums),
        *_lost("service", old.services, new.services),
        *(line for name in _kept(old.messages, new.messages) for line in _message(name, old, new)),
        *(line for name in _kept(old.enums, new.enums) for line in _enum(name, old, new)),
        *(line for name in _kept(old.services, new.services) for line in _service(name, old, new)),
    ]


def _contract(found: FileDescriptorSet) -> _Contract:
    contract = _Contract()
    for file in found.file:
        contract.packages[file.name] = file.package
        for message in file.message_type:
            contract.add_message(file.name, file.package, message)
        for enum in file.enum_type:
            contract.enums[f"{file.package}.{enum.name}"] = (file.name, enum)
        for service in file.service:
            contract.services[f"{file.package}.{service.name}"] = (file.name, service)
    return contract


def _changed_packages(old: _Contract, new: _Contract) -> Iterator[str]:
    for file, package in old.packages.items():
        if file not in new.packages:
            yield f"{file}: removed"
        elif new.packages[file] != package:
            yield f"{file}: its package changed from {package} to {new.packages[file]}"


def _lost(kind: str, old: Mapping[str, tuple[str, Any]], new: Mapping[str, tuple[str, Any]]) -> Iterator[str]:
    for name, (file, _) in old.items():
        if name not in new:
            yield f"{file}: {kind} {name} was removed"
        elif new[name][0] != file:
            yield f"{file}: {kind} {name} was moved to {new[name][0]}"


def _kept(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return [name for name in old if name in new]


def _message(name: str, old: _Contract, new: _Contract) -> Iterator[str]:
    file, before = old.messages[name]
    after = new.messages[name][1]
    where = f"{file}: message {name}"
    yield from _members(where, "field", before, before.field, after, after.field)
    by_number = {member.number: member for member in after.field}
    for member in before.field:
        kept = by_number.get(member.number)
        if kept is None or kept.name != member.name:
            continue
        for what, was, now in (
            ("type", _type(member), _type(kept)),
            ("label", _label(member), _label(kept)),
            ("oneof", _oneof(before, member), _oneof(after, kept)),
        ):
            if was != now:
                yield f"{where}: field {member.name}: its {what} changed from {was} to {now}"


def _enum(name: str, old: _Contract, new: _Contract) -> Iterator[str]:
    file, before = old.enums[name]
    after = new.enums[name][1]
    yield from _members(f"{file}: enum {name}", "value", before, before.value, after, after.value)


def _members(
    where: str,
    kind: str,
    before: DescriptorProto | EnumDescriptorProto,
    old: Sequence[Member],
    after: DescriptorProto | EnumDescriptorProto,
    new: Sequence[Member],
) -> Iterator[str]:
    """What became of fields or enum values by name and number."""
    numbers = {member.name: member.number for member in new}
    names = {member.number: member.name for member in new}
    for member in old:
        now = names.get(member.number)
        if now == member.name:
            continue
        if member.name in numbers:
            yield f"{where}: {kind} {member.name} was renumbered from {member.number} to {numbers[member.name]}"
        elif now is not None:
            yield f"{where}: {kind} {member.name} ({member.number}) was renamed to {now}, or its number used again"
        elif not (_reserves(after, member.number) and member.name in after.reserved_name):
            wanted = f'`reserved {member.number}; reserved "{member.name}";`'
            yield f"{where}: {kind} {member.name} ({member.number}) was removed; put {wanted} in its place"
    for span in before.reserved_range:
        # Enums' ranges include their end, messages' do not.
        last = span.end if isinstance(before, EnumDescriptorProto) else span.end - 1
        if not (_reserves(after, span.start) and _reserves(after, last)):
            yield f"{where}: reserved {span.start} to {last} is not reserved any more"
    for name in before.reserved_name:
        if name not in after.reserved_name:
            yield f"{where}: the reserved name {name} is not reserved any more"


def _service(name: str, old: _Contract, new: _Contract) -> Iterator[str]:
    file, before = old.services[name]
    methods = {method.name: method for method in new.services[name][1].method}
    for method in before.method:
        where = f"{file}: service {name}: method {method.name}"
        now = methods.get(method.name)
        if now is None:
            yield f"{where} was removed"
            continue
        for what, was, became in (
            ("request", method.input_type, now.input_type),
            ("response", method.output_type, now.output_type),
            ("stream of requests", method.client_streaming, now.client_streaming),
            ("stream of responses", method.server_streaming, now.server_streaming),
        ):
            if was != became:
                yield f"{where}: its {what} changed from {was} to {became}"


def _reserves(found: DescriptorProto | EnumDescriptorProto, number: int) -> bool:
    inclusive = isinstance(found, EnumDescriptorProto)
    return any(span.start <= number < span.end + inclusive for span in found.reserved_range)


def _type(member: FieldDescriptorProto) -> str:
    return member.type_name or FieldDescriptorProto.Type.Name(member.type).removeprefix("TYPE_").lower()


def _label(member: FieldDescriptorProto) -> str:
    if member.label == FieldDescriptorProto.LABEL_REPEATED:
        return "repeated"
    return "optional" if member.proto3_optional else "singular"


def _oneof(message: DescriptorProto, member: FieldDescriptorProto) -> str:
    # protoc makes a oneof of its own for each optional field.
    if not member.HasField("oneof_index") or member.proto3_optional:
        return "none"
    return message.oneof_decl[member.oneof_index].name
