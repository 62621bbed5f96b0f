"""Column names that TRL, inspect and common data sets use; compared in lower case, with `_` for spaces and hyphens."""

PAIRS = (
    ("chosen", "rejected"),
    ("better", "worse"),
    ("answer_matching_behavior", "answer_not_matching_behavior"),
    ("matching", "not_matching"),
    ("best_answer", "incorrect_answers"),
    ("best", "incorrect"),
)
RESPONSES = (
    ("response_a", "response_b"),
    ("response_0", "response_1"),
    ("response1", "response2"),
    ("output_1", "output_2"),
)
PREFERENCES = ("preference", "winner", "better_response_id", "annotators", "label")
CHOICES = ("choices", "options", "endings", "answers")
ANSWERS = ("target", "answer", "label", "answer_key", "answerkey", "answer_index", "answer_idx", "gold")
JOINED = (
    ("passage", "question"),
    ("context", "question"),
    ("premise", "hypothesis"),
    ("sentence1", "sentence2"),
    ("question1", "question2"),
    ("scenario", "excuse"),
    ("scenario", "trait"),
)
REPLIES = (
    ("prompt", ("completion", "response", "answer")),
    ("question", ("answer", "response", "completion", "solution")),
    ("instruction", ("output", "response", "completion")),
    ("query", ("response", "answer")),
    ("input", ("output", "response")),
)
TEXTS = (
    *("messages", "statement", "sentence", "content", "question", "prompt", "input", "review", "tweet", "message"),
    *("headline", "scenario", "solution", "completion", "response", "document", "passage"),
)
PROMPTS = ("prompt", "question", "input", "query")
LABELS = ("label", "labels")
OTHER_LABELS = (
    *("target", "class", "cls", "is_correct", "correct", "intent", "sentiment", "gold", "gold_label"),
    *("final_label", "verdict"),
)
LAST_LABELS = ("answer",)
GROUPS = ("group", "group_id", "qid", "question_id", "query_id", "prompt_id", "pair_id", "city", "entity")
IDS = ("id", "_id", "id_", "uid", "uuid", "idx", "index", "example_id")
TAGS = (
    *("population", "rank", "difficulty", "level", "frequency", "confidence", "year", "valence"),
    *("topic", "category", "subject", "domain", "domain_en", "type", "source", "persona", "behavior", "relation"),
    *("model", "condition", "polarity"),
)
