from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest

from gateway.connections.vault import KEY_BYTES, KEY_VARIABLE, KeyUnusable, Vault

pytestmark = pytest.mark.unit
VALUES = {"api_key": "canary-value", "region": "über"}


def test_sealed_values_open_again_and_show_nothing() -> None:
    vault = Vault(bytes(KEY_BYTES))
    sealed = vault.seal("conn-1", VALUES)
    assert vault.open("conn-1", sealed) == VALUES
    assert b"canary" not in sealed
    assert vault.seal("conn-1", VALUES) != sealed


@pytest.mark.parametrize("position", [0, 1, 13, -1])
def test_damage_another_connection_and_another_key_give_one_clear_error(position: int) -> None:
    vault = Vault(bytes(KEY_BYTES))
    sealed = vault.seal("conn-1", VALUES)
    damaged = bytearray(sealed)
    damaged[position] ^= 1
    for other, name, data in (
        (vault, "conn-1", bytes(damaged)),
        (vault, "conn-2", sealed),
        (Vault(b"k" * KEY_BYTES), "conn-1", sealed),
        (vault, "conn-1", b""),
    ):
        with pytest.raises(KeyUnusable, match="cannot be decrypted with this key"):
            other.open(name, data)


def test_the_key_file_is_made_once_and_is_the_owners_alone(tmp_path: Path) -> None:
    sealed = Vault.load(tmp_path, {}).seal("conn-1", VALUES)
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert Vault.load(tmp_path, {}).open("conn-1", sealed) == VALUES
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    Vault.load(tmp_path, {})
    (tmp_path / "key").chmod(mode)
    with pytest.raises(KeyUnusable, match="chmod 600"):
        Vault.load(tmp_path, {})


def test_the_environment_comes_first_and_no_file_is_made(tmp_path: Path) -> None:
    key = base64.b64encode(b"e" * KEY_BYTES).decode()
    sealed = Vault.load(tmp_path, {KEY_VARIABLE: key}).seal("conn-1", VALUES)
    assert Vault(b"e" * KEY_BYTES).open("conn-1", sealed) == VALUES
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["not base64!", base64.b64encode(b"short").decode(), "ü"])
def test_a_malformed_key_says_where_it_is_and_not_what_it_is(tmp_path: Path, text: str) -> None:
    with pytest.raises(KeyUnusable, match=KEY_VARIABLE) as caught:
        Vault.load(tmp_path, {KEY_VARIABLE: text})
    assert text not in caught.value.message
