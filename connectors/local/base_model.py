"""Check that a base model can be had, without loading it."""

from __future__ import annotations

from connectors.trainer.preflight import is_local_model

HUB_SECONDS = 5.0  # a submission should not wait longer for a yes


def problem_with_model(base_model: str) -> str | None:
    """Say what is wrong with a base model: a folder, or a hub id that the hub or the local cache must know.

    Blocks for as long as the hub takes to answer.
    """
    if is_local_model(base_model):
        return None
    try:
        from huggingface_hub import model_info, try_to_load_from_cache  # slow to load, and only a check needs it
        from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError
    except ImportError:
        return f"{base_model} is no folder, and the hub cannot be asked; install peftstudio-connect[local]"
    try:
        if isinstance(try_to_load_from_cache(base_model, "config.json"), str):
            return None
        model_info(base_model, timeout=HUB_SECONDS)
    except HFValidationError:
        return f"{base_model} is neither a folder nor a hub id such as org/name"
    except GatedRepoError:
        return f"{base_model} is gated; ask for access on the hub and log in there on this machine"
    except RepositoryNotFoundError:
        return f"{base_model} is neither a folder nor a model on the hub"
    except Exception:
        return f"{base_model} is neither a folder nor in the local cache, and the hub cannot be reached"
    return None
