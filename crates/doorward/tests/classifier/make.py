"""Writes `model.onnx` and `tokenizer.json`: a classifier that knows six words. Needs the package `onnx`.

Its logits are the sums of two numbers for each token: of `answer` and `rhymes` they say "an order", of `weather` and `harbour`
"none". Small enough to be kept beside the test, and of the shape that large ones have.
"""

import json
import pathlib

import onnx
from onnx import TensorProto, helper, numpy_helper
import numpy

WORDS = {"[PAD]": (0, 0), "[UNK]": (0, 0), "[CLS]": (0, 0), "[SEP]": (0, 0), "answer": (0, 3), "rhymes": (0, 3),
         "weather": (3, 0), "harbour": (3, 0)}

table = numpy_helper.from_array(numpy.array(list(WORDS.values()), dtype=numpy.float32), "table")
axes = numpy_helper.from_array(numpy.array([1], dtype=numpy.int64), "axes")
last = numpy_helper.from_array(numpy.array([2], dtype=numpy.int64), "last")
nodes = [
    helper.make_node("Gather", ["table", "input_ids"], ["each"], axis=0),
    helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
    helper.make_node("Unsqueeze", ["mask", "last"], ["column"]),
    helper.make_node("Mul", ["each", "column"], ["seen"]),
    helper.make_node("ReduceSum", ["seen", "axes"], ["logits"], keepdims=0),
]
tokens = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
          for name in ("input_ids", "attention_mask")]
logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 2])
graph = helper.make_graph(nodes, "six words", tokens, [logits], [table, axes, last])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.checker.check_model(model)

here = pathlib.Path(__file__).parent
(here / "model.onnx").write_bytes(model.SerializeToString())
(here / "tokenizer.json").write_text(json.dumps({
    "added_tokens": [],
    "normalizer": {"type": "BertNormalizer", "lowercase": True, "strip_accents": None},
    "pre_tokenizer": {"type": "BertPreTokenizer"},
    "model": {"type": "WordPiece", "unk_token": "[UNK]", "vocab": {word: at for at, word in enumerate(WORDS)}},
}) + "\n")
