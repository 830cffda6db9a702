"""Prints receipt.json: a receipt put together from the description in src/receipt.rs alone.

python3 receipt.py > receipt.json     (needs the package `cryptography`)
"""

import hashlib
import json

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def canonical(value):
    # Names are ASCII and numbers integers, for which this is RFC 8785.
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sha256(data):
    return hashlib.sha256(data).digest()


def leaf(data):
    return sha256(b"\0" + data)


def node(left, right):
    return sha256(b"\1" + left + right)


def tree(leaves):
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return node(tree(leaves[:split]), tree(leaves[split:]))


def path(index, leaves):
    if len(leaves) == 1:
        return []
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    if index < split:
        return path(index, leaves[:split]) + [tree(leaves[split:])]
    return path(index - split, leaves[split:]) + [tree(leaves[:split])]


def public(key):
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


def sign(key, domain, message):
    return key.sign(domain.encode() + b"\0" + message).hex()


def main():
    gateway = Ed25519PrivateKey.from_private_bytes(bytes([1] * 32))
    provider = Ed25519PrivateKey.from_private_bytes(bytes([2] * 32))
    request = b'{"model":"pip","messages":[]}'
    response = b"data: {}\n\ndata: [DONE]\n\n"
    salt = bytes([9] * 32)
    commit = "ab" * 32

    def hashed(data):
        return {"bytes": len(data), "salted_sha256": sha256(salt + sha256(data)).hex()}

    claims = {
        "version": 1,
        "id": "rcpt_1",
        "revision": 0,
        "request_id": 'req "é"',
        "created": 1767225600,
        "path": "/v1/chat/completions",
        "model": "pip",
        "request": hashed(request),
        "response": hashed(response),
        "outcome": "client_gone",
        "cached": False,
        "provider": {"id": "", "operator": "", "node_key": public(provider)},
        "provenance": {
            "weights_id": "",
            "quant": "",
            "kv_dtype": "",
            "engine": "",
            "template_sha256": "",
            "sampler": "",
            "seed": "18446744073709551615",
            "prompt_ids_sha256": "",
            "resumed": 0,
            "commit": commit,
            "sig": sign(provider, "quorate/answer/v1", commit.encode()),
        },
        "attempts": [],
        "verification": {"mode": "audit"},
        "verified": "none",
        "audits": [],
    }
    leaves = [leaf(bytes([number])) for number in range(7)]
    leaves[2] = leaf(canonical(claims))
    root = {"batch": 4, "leaves": 7, "sha256": tree(leaves).hex(), "signed": 1767225601}
    receipt = {
        "object": "receipt",
        "claims": claims,
        "opening": {
            "salt": salt.hex(),
            "request_sha256": sha256(request).hex(),
            "response_sha256": sha256(response).hex(),
        },
        "proof": {
            "leaf": leaves[2].hex(),
            "index": 2,
            "path": [sibling.hex() for sibling in path(2, leaves)],
            "root": root,
            "key": public(gateway),
            "signature": sign(gateway, "quorate/receipts/v1", canonical(root)),
        },
    }
    print(json.dumps(receipt, indent=1))


if __name__ == "__main__":
    main()
