from __future__ import annotations

import errno
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from connector_sdk.models import TrainingConfig
from connectors.trainer import preflight
from connectors.trainer.errors import BadData, ConfigRejected, HardwareUnavailable, ModelNotFound, foreseeable
from connectors.trainer.exit_codes import ExitCode, reason_of
from connectors.trainer.preflight import check_job, gpu_to_use
from connectors.trainer.spec import JobSpec, load_spec

pytestmark = pytest.mark.unit


def make_spec(folder: Path, **config: object) -> JobSpec:
    (folder / "model").mkdir(exist_ok=True)
    (folder / "model" / "config.json").write_text("{}")
    (folder / "d.jsonl").write_text('{"text": "t"}\n')
    values = {"base_model": str(folder / "model"), "dataset_path": str(folder / "d.jsonl"), **config}
    return JobSpec(
        job_id="j",
        config=TrainingConfig.model_validate(values),
        work_dir=folder,
        output_dir=folder / "output",
        records_path=folder / "records.jsonl",
    )


def test_a_sound_job_passes(tmp_path: Path) -> None:
    check_job(make_spec(tmp_path))


def test_all_faults_of_a_config_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigRejected, match=r"algorithm: magic.*lr_scheduler: zigzag.*lm_head"):
        check_job(make_spec(tmp_path, algorithm="magic", lr_scheduler="zigzag", target_modules=["lm_head"]))


@pytest.mark.parametrize("config", [{"algorithm": "qlora"}, {"quantization": "int8"}, {"quantization": "nf4"}])
def test_quantization_is_refused_by_name_where_bitsandbytes_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: dict[str, object]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(HardwareUnavailable, match=f"{next(iter(config.values()))} needs the package bitsandbytes"):
        check_job(make_spec(tmp_path, **config))


def test_quantization_is_refused_by_name_where_there_is_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(preflight, "_may_have_cuda", lambda: False)
    with pytest.raises(HardwareUnavailable, match="qlora needs a CUDA GPU"):
        check_job(make_spec(tmp_path, algorithm="qlora"))


def test_a_base_model_that_is_no_model_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="no such folder"):
        check_job(make_spec(tmp_path, base_model=str(tmp_path / "missing")))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelNotFound, match=r"no config\.json"):
        check_job(make_spec(tmp_path, base_model=str(tmp_path / "empty")))


def test_bad_data_is_refused_with_its_line(tmp_path: Path) -> None:
    spec = make_spec(tmp_path)
    (tmp_path / "d.jsonl").write_text('{"text": "t"}\n{oops\n')
    with pytest.raises(BadData, match="line 2: not valid JSON"):
        check_job(spec)


def test_an_output_folder_in_use_is_refused(tmp_path: Path) -> None:
    spec = make_spec(tmp_path)
    spec.output_dir.mkdir()
    (spec.output_dir / "precious.txt").touch()
    with pytest.raises(ConfigRejected, match="holds other files"):
        check_job(spec)


def test_artifacts_that_are_there_are_refused_unless_the_job_resumes(tmp_path: Path) -> None:
    spec = make_spec(tmp_path)
    spec.output_dir.mkdir()
    (spec.output_dir / "manifest.json").touch()
    check_job(spec.model_copy(update={"resume": True}))
    with pytest.raises(ConfigRejected, match="already holds artifacts"):
        check_job(spec)


def test_a_broken_spec_names_every_field(tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text('{"version": 1, "config": {"base_model": "m", "rank": 0}}')
    with pytest.raises(ConfigRejected, match=r"job_id: Field required.*config\.rank"):
        load_spec(tmp_path / "spec.json")


def test_a_bad_spec_ends_the_program_without_loading_torch(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, algorithm="magic")
    (tmp_path / "spec.json").write_text(spec.model_dump_json())
    code = "import sys; from connectors.trainer.run import main; code = main(sys.argv[1:]); assert 'torch' not in "
    command = [sys.executable, "-c", f"{code}sys.modules; sys.exit(code)", str(tmp_path / "spec.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == ExitCode.CONFIG_REJECTED, done.stderr
    assert done.stderr.startswith("error: algorithm: magic is unknown")
    result = json.loads((tmp_path / "records.jsonl").read_text().splitlines()[-1])
    assert (result["kind"], result["outcome"], result["reason"]) == ("result", "failed", "CONFIG_REJECTED")


def test_every_exit_code_has_a_reason_and_unknown_ones_are_plain_failures() -> None:
    assert {reason_of(code) for code in ExitCode} >= {"OK", "USER_ERROR", "OUT_OF_MEMORY", "PLATFORM_ERROR"}
    assert reason_of(3) == "EXIT_NONZERO"


@pytest.mark.parametrize(
    ("error", "exit_code", "text"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), 74, "the disk is full: cannot write to /jobs/j"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), 74, "/jobs/j"),
        (PermissionError(errno.EACCES, "Permission denied", "/out/x/file"), 74, "cannot write to /out/x: Permission"),
        (MemoryError(), 71, "smaller batch_size"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), 71, "out of memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), 71, "out of memory"),
        (ModuleNotFoundError("No module named 'torch'", name="torch"), 69, "the package torch is not installed"),
    ],
)
def test_foreign_errors_become_a_sentence_and_an_exit_code(error: Exception, exit_code: int, text: str) -> None:
    known = foreseeable(error, Path("/jobs/j"))
    assert known is not None
    assert known.exit_code == exit_code
    assert text in str(known)


def test_an_error_that_a_library_wrapped_is_still_recognised() -> None:
    wrapped = RuntimeError("generation failed")
    wrapped.__cause__ = BadData("line 3")
    assert foreseeable(wrapped, Path("/jobs/j")) is wrapped.__cause__


def test_an_unforeseen_error_stays_unknown() -> None:
    assert foreseeable(KeyError("x"), Path("/jobs/j")) is None


@pytest.mark.parametrize(("visible", "chosen"), [(None, "0"), ("", None), ("2,3", "2"), ("GPU-uuid", "GPU-uuid")])
def test_one_process_uses_one_gpu(visible: str | None, chosen: str | None) -> None:
    assert gpu_to_use(visible, platform="linux") == chosen
