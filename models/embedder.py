"""Writes pip-embed/, which makes an embedding model of pip's weights: the mean of the last layer's rows.

Usage: python embedder.py        # from this folder; the files it writes are committed

It has no weights of its own. Who loads it takes pip/config.json and pip/model.safetensors, the names
of the tensors without their prefix `model.`, as mistral.rs' loader of embedding models wants them.
"""

import json
from pathlib import Path

HERE = Path(__file__).parent
END = "<|im_end|>"


def write(name, value):
    file = HERE / "pip-embed" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")


def main():
    config = json.loads((HERE / "pip/config.json").read_text())
    tokenizer = json.loads((HERE / "pip/tokenizer.json").read_text())
    # An end after each text, as embedding models of this family have it. It also keeps a text from
    # being a single token, which mistral.rs 0.8.1 cannot take.
    tokenizer["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [
            {"Sequence": {"id": "A", "type_id": 0}},
            {"SpecialToken": {"id": END, "type_id": 0}},
        ],
        "pair": [
            {"Sequence": {"id": "A", "type_id": 0}},
            {"SpecialToken": {"id": END, "type_id": 0}},
            {"Sequence": {"id": "B", "type_id": 0}},
            {"SpecialToken": {"id": END, "type_id": 0}},
        ],
        "special_tokens": {
            END: {"id": END, "ids": [config["eos_token_id"]], "tokens": [END]}
        },
    }
    write("tokenizer.json", tokenizer)
    kinds = ["Transformer", "Pooling", "Normalize"]
    write(
        "modules.json",
        [
            {
                "idx": at,
                "name": str(at),
                "path": f"{at}_{kind}" if at else "",
                "type": f"sentence_transformers.models.{kind}",
            }
            for at, kind in enumerate(kinds)
        ],
    )
    modes = ["cls_token", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken"]
    pooling = {f"pooling_mode_{mode}": False for mode in modes}
    write(
        "1_Pooling/config.json",
        {
            "word_embedding_dimension": config["hidden_size"],
            "pooling_mode_mean_tokens": True,
            **pooling,
            "include_prompt": True,
        },
    )


if __name__ == "__main__":
    main()
