"""Policy documents as models. What their expressions mean is found out where they are evaluated."""

from __future__ import annotations

from collections.abc import Sequence

from olake_reconcile.model.policy import Policy
from olake_reconcile.spec.documents import PolicyDocument
from olake_reconcile.spec.files import POLICIES_FOLDER
from olake_reconcile.spec.project import check_name
from olake_reconcile.spec.report import Document, quoted
from olake_reconcile.spec.shape import check_shape


def read_policies(documents: Sequence[Document]) -> tuple[Policy, ...]:
    """Return the policies by name, after complaining about what cannot be meant."""
    found: dict[str, tuple[Policy, Document]] = {}
    for document in documents:
        if not document.text.file.startswith(f"{POLICIES_FOLDER}/"):
            message = f"policies belong below {POLICIES_FOLDER}/: who may change them is decided there"
            document.error(document.at(("kind",)), "misplaced-policy", message)
        policy = _policy(document)
        if policy is None:
            continue
        first = found.setdefault(policy.name, (policy, document))[1]
        if first is not document:
            message = f"policy {quoted(policy.name)} is declared twice: first at {first.text.place(first.at(('name',)))}"
            document.error(document.at(("name",)), "duplicate-name", message)
    return tuple(policy for _, (policy, _) in sorted(found.items()))


def _policy(document: Document) -> Policy | None:
    root = check_shape(document, PolicyDocument).root
    if any(key not in root for key in ("name", "when", "effect")):
        return None
    check_name(document, root["name"])
    if not root["when"].strip():
        document.error(
            document.at(("when",)), "bad-policy", "'when' is an expression, such as change.data == 'erased'"
        )
        return None
    return Policy(
        name=root["name"],
        when=root["when"],
        effect=root["effect"],
        scope=root.get("scope") or "change",
        message=root.get("message") or "",
        exempt=tuple(root.get("except") or ()),
        place=document.text.place(document.at(("when",))),
    )
