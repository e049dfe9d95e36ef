"""The values of both variants of the interface."""

import pytest
from pydantic import ValidationError

from connectors.base import JobStatus, PricingInfo, Resource, ResourceType, TrainingConfig

pytestmark = pytest.mark.unit


def test_the_guides_configuration_is_accepted() -> None:
    config = TrainingConfig(
        base_model="test-model",
        algorithm="lora",
        rank=8,
        alpha=16,
        learning_rate=2e-4,
        batch_size=4,
        num_epochs=3,
        dataset_path="/path/to/dataset",
    )
    assert (config.rank, config.num_epochs) == (8, 3)


def test_a_misspelt_field_is_an_error() -> None:
    with pytest.raises(ValidationError, match="learning_rat"):
        TrainingConfig.model_validate({"base_model": "m", "dataset_path": "d", "learning_rat": 1})


def test_both_names_of_a_price_are_read_and_written() -> None:
    guide = PricingInfo(hourly_rate=1.5, currency="USD", billing_increment=60)
    variant = PricingInfo.model_validate({"resource_id": "a", "price_per_hour": 1.5, "billing_increment_seconds": 60})
    assert guide.price_per_hour == variant.hourly_rate == 1.5
    assert guide.billing_increment_seconds == variant.billing_increment == 60


def test_a_negative_price_is_an_error() -> None:
    with pytest.raises(ValidationError):
        PricingInfo(hourly_rate=-1)


def test_a_status_compares_equal_to_the_guides_word() -> None:
    assert str(JobStatus.COMPLETED) == "completed"
    assert JobStatus.COMPLETED in ["completed", "failed"]
    assert JobStatus("running") is JobStatus.RUNNING


def test_a_resource_of_the_guide_is_a_gpu() -> None:
    resource = Resource(id="a", name="A", gpu_type="A100", gpu_count=1, vram_gb=80, available=True)
    assert resource.type is ResourceType.GPU
