"""Log sums of score matrices: values and derivatives."""

import pytest
import torch

from infobound.bounds import log_sums


@pytest.mark.parametrize(("n", "m"), [(5, 5), (4, 7)])
@pytest.mark.parametrize("steep", [1.0, 40.0])  # 40: no peak for all, so logsumexp
def test_sums_and_their_first_and_second_derivatives_are_those_of_logsumexp(n, m, steep):
    scores = steep * torch.randn(n, m, dtype=torch.float64, generator=torch.manual_seed(0))
    scores.requires_grad_()
    assert (log_sums._shared_peak(scores.detach()) is None) == (steep > 1)
    found = log_sums.of(scores)
    masked = scores.masked_fill(torch.eye(n, m, dtype=torch.bool), -torch.inf)
    torch.testing.assert_close(found.rows, masked.logsumexp(1))
    torch.testing.assert_close(found.columns, masked.logsumexp(0))

    def parts(f):
        return tuple(log_sums.of(f).parts())

    assert torch.autograd.gradcheck(parts, scores)
    assert torch.autograd.gradgradcheck(parts, scores)


def test_gradients_of_float32_are_finite_where_a_negative_underflows():
    scores = torch.zeros(3, 3, requires_grad=True)
    with torch.no_grad():
        scores[0, 1] = -300.0
    log_sums.of(scores).rows.sum().backward()
    weights = torch.tensor([[0, 0, 1], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    torch.testing.assert_close(scores.grad, weights)
