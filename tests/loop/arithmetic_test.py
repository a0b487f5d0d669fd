import jax
import jax.numpy as jnp
import pytest

from loop.arithmetic import settle


@pytest.fixture
def otherwise():
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_numpy_dtype_promotion", "strict")
    yield
    jax.config.update("jax_enable_x64", False)
    jax.config.update("jax_numpy_dtype_promotion", "standard")


def test_settings_that_results_depend_on_are_set_and_said(otherwise):
    said: list[str] = []
    settle(said.append)
    assert len(said) == 1 and said[0].startswith("JAX_ENABLE_X64, JAX_NUMPY_DTYPE_PROMOTION: not used")
    assert (jnp.arange(3) * 1.5).dtype == jnp.float32  # 64 bits would give float64, strict promotion an error
    settle(said.append)
    assert len(said) == 1
