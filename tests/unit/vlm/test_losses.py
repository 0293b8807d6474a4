"""Losses against loops over rows, and against torch's own where it has one."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from semistruct.exceptions import ParameterError
from semistruct.vlm.components import (
    AtRest,
    EmaTeacher,
    ProjectionHead,
    PrototypeHead,
    Queue,
    SharedBatchNorm,
    Transformer,
    cosine_regression,
    hard_negatives,
    info_nce,
    latent_regression,
    layer_target,
    masked_modelling,
    matching_loss,
    mil_nce,
    nt_xent,
    pair_info_nce,
    sinkhorn,
    soft_cross_entropy,
    triplet_loss,
)

N, D = 6, 4


@pytest.fixture(autouse=True)
def _seed():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def unit(*shape: int) -> torch.Tensor:
    return functional.normalize(torch.randn(*shape, dtype=torch.float64), dim=-1)


def test_info_nce_with_soft_targets_and_smoothing():
    logits = torch.randn(N, 5, dtype=torch.float64)
    targets = torch.rand(N, 5, dtype=torch.float64)
    targets = targets / targets.sum(dim=1, keepdim=True)
    expected = 0.0
    for i in range(N):
        bottom = math.log(sum(math.exp(z) for z in logits[i]))
        for j in range(5):
            q = 0.9 * targets[i, j] + 0.1 / 5
            expected -= float(q * (logits[i, j] - bottom)) / N
    assert info_nce(logits, targets, 0.1).item() == pytest.approx(expected)


@pytest.mark.parametrize("labels", [None, [0, 1, 0, 2, 1, 0]])
def test_pair_contrast_row_by_row(labels):
    image, text, scale = unit(N, D), unit(N, D), 7.0
    label = list(range(N)) if labels is None else labels
    expected = 0.0
    for a, b in ((image, text), (text, image)):
        for i in range(N):
            bottom = math.log(sum(math.exp(scale * a[i] @ b[j]) for j in range(N)))
            mine = [j for j in range(N) if label[j] == label[i]]
            terms = [float(scale * a[i] @ b[j]) - bottom for j in mine]
            expected -= sum(terms) / len(mine) / N / 2
    given = None if labels is None else torch.tensor(labels)
    found = pair_info_nce(image, text, scale, given)
    assert found.item() == pytest.approx(expected)


def test_labels_of_texts_that_are_equal_change_nothing():
    """Equal texts share their logits, so labels move only a constant."""
    labels = torch.tensor([0, 1, 0, 2, 1, 0])
    image = unit(N, D).requires_grad_()
    text = unit(3, D).requires_grad_()
    gradients = [
        torch.autograd.grad(
            pair_info_nce(image, text[labels], 7.0, given), (image, text)
        )
        for given in (None, labels)
    ]
    for plain, labelled in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, labelled)


def test_nt_xent_view_by_view():
    first, second, t = unit(N, D), unit(N, D), 0.3
    views = torch.cat([first, second])
    expected = 0.0
    for i in range(2 * N):
        partner = (i + N) % (2 * N)
        others = [j for j in range(2 * N) if j != i]
        bottom = sum(math.exp(views[i] @ views[j] / t) for j in others)
        top = math.exp(views[i] @ views[partner] / t)
        expected -= math.log(top / bottom) / (2 * N)
    assert nt_xent(first, second, t).item() == pytest.approx(expected)


@pytest.mark.parametrize("hardest", [True, False])
def test_triplet_pair_by_pair(hardest):
    image, text = unit(N, D), unit(N, D)
    expected, s = 0.0, image @ text.T
    for i in range(N):
        right = s[i, i]
        for wrong in (s[i], s[:, i]):
            costs = [
                max(0.0, float(0.2 - right + wrong[j])) for j in range(N) if j != i
            ]
            expected += (max(costs) if hardest else sum(costs)) / N
    found = triplet_loss(image, text, 0.2, hardest=hardest)
    assert found.item() == pytest.approx(expected)


def test_mil_nce_row_by_row():
    image, texts, K = unit(N, D), unit(N, 3, D), 3
    expected = 0.0
    for i in range(N):
        right = sum(math.exp(5 * image[i] @ texts[i, k]) for k in range(K))
        wrong = 0.0
        for j in range(N):
            for k in range(K):
                if j != i:
                    wrong += math.exp(5 * image[i] @ texts[j, k])
                    wrong += math.exp(5 * image[j] @ texts[i, k])
        expected -= math.log(right / (right + wrong)) / N
    assert mil_nce(image, texts, 5.0).item() == pytest.approx(expected)


def test_mil_nce_has_finite_gradients():
    image, texts = unit(N, D).requires_grad_(), unit(N, 3, D).requires_grad_()
    mil_nce(image, texts, 5.0).backward()
    assert image.grad.isfinite().all()
    assert texts.grad.isfinite().all()


def test_sinkhorn_is_the_plain_algorithm():
    scores = torch.rand(N, 3, dtype=torch.float64)
    q = np.exp(scores.numpy() / 0.5)
    for _ in range(3):
        q = q / q.sum(axis=0, keepdims=True) / 3
        q = q / q.sum(axis=1, keepdims=True) / N
    np.testing.assert_allclose(sinkhorn(scores, 0.5, 3).numpy(), q * N, rtol=1e-6)


def test_sinkhorn_does_not_overflow():
    assert sinkhorn(1000 * torch.rand(N, 3)).isfinite().all()


def test_soft_cross_entropy_and_cosine_regression():
    logits, q = torch.randn(N, 3), torch.randn(N, 3).softmax(dim=1)
    torch.testing.assert_close(
        soft_cross_entropy(logits, q), functional.cross_entropy(logits, q)
    )
    a, b = torch.randn(N, D), torch.randn(N, D)
    expected = (functional.normalize(a) - functional.normalize(b)).square().sum(1)
    torch.testing.assert_close(cosine_regression(a, b), expected.mean())


@pytest.mark.parametrize("beta", [0.0, 0.7])
def test_latent_regression_token_by_token(beta):
    output, target = torch.randn(2, 3, D), torch.randn(2, 3, D)
    mask = torch.tensor([[True, False, True], [False, False, True]])
    total = 0.0
    for b, i in mask.nonzero().tolist():
        for r in (output - target)[b, i].tolist():
            if beta == 0:
                total += r**2 / D
            else:
                small = abs(r) < beta
                total += (0.5 * r**2 / beta if small else abs(r) - 0.5 * beta) / D
    found = latent_regression(output, target, mask, beta)
    assert found.item() == pytest.approx(total / 3, rel=1e-5)


def test_no_hidden_token_costs_nothing():
    none = torch.zeros(2, 3, dtype=torch.bool)
    x = torch.randn(2, 3, D)
    assert latent_regression(x, x + 1, none).item() == 0
    assert masked_modelling(x, torch.zeros(2, 3, dtype=torch.int64), none).item() == 0


def test_masked_modelling_is_the_mean_over_hidden_tokens():
    logits, ids = torch.randn(2, 3, 5), torch.randint(0, 5, (2, 3))
    mask = torch.tensor([[True, False, True], [False, False, True]])
    expected = functional.cross_entropy(logits[mask], ids[mask])
    torch.testing.assert_close(masked_modelling(logits, ids, mask), expected)


def test_hard_negatives_follow_their_probabilities():
    scores = torch.tensor([[9.0, 1.0, 2.0], [0.0, 9.0, 0.0], [3.0, 0.0, 9.0]])
    g = torch.Generator().manual_seed(0)
    drawn = torch.stack([hard_negatives(scores, g) for _ in range(4000)])
    expected = math.e**2 / (math.e + math.e**2)
    assert (drawn[:, 0] == 2).float().mean().item() == pytest.approx(expected, abs=0.03)
    for i in range(3):
        assert (drawn[:, i] != i).all()


def test_hard_negatives_leave_out_equal_labels():
    labels = torch.tensor([0, 0, 1])
    found = hard_negatives(torch.zeros(3, 3), labels=labels)
    assert found[:2].tolist() == [2, 2]
    same = hard_negatives(torch.zeros(3, 3), labels=torch.zeros(3, dtype=torch.int64))
    assert (same != torch.arange(3)).all()


def test_matching_is_the_logistic_loss():
    right, wrong = torch.randn(3), torch.randn(4)
    y = torch.tensor([1.0] * 3 + [0.0] * 4)
    expected = functional.binary_cross_entropy_with_logits(torch.cat([right, wrong]), y)
    torch.testing.assert_close(matching_loss(right, wrong), expected)


@pytest.mark.parametrize("axis", [1, 2])
def test_layer_target_block_by_block(axis):
    module, x = Transformer(D, 3, 2), torch.randn(2, 5, D)
    states, total = x, 0.0
    for i, block in enumerate(module.blocks):
        states = block(states)
        if i >= 1:
            centred = states - states.mean(dim=axis, keepdim=True)
            spread = (states.var(dim=axis, keepdim=True, correction=0) + 1e-5).sqrt()
            total = total + centred / spread / 2
    torch.testing.assert_close(layer_target(module, x, 2, axis=axis), total)


# -- teacher, queue, heads -----------------------------------------------------------


def test_teacher_follows_with_a_ramp():
    student = nn.Linear(2, 1, bias=False)
    teacher = EmaTeacher(student, 0.9, start=0.5, ramp=4)
    expected = student.weight.detach().clone()
    for t in range(6):
        with torch.no_grad():
            student.weight.add_(1.0)
        m = 0.5 + 0.4 * min(1.0, t / 4)
        expected = m * expected + (1 - m) * student.weight.detach()
        teacher.update(student)
        torch.testing.assert_close(teacher.module.weight.data, expected)
    assert not teacher(torch.ones(1, 2)).requires_grad


def test_teacher_is_in_evaluation_unless_it_follows_the_mode():
    student = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    quiet, loud = EmaTeacher(student, 0.9), EmaTeacher(student, 0.9, as_student=True)
    for teacher, training in ((quiet, False), (loud, True)):
        teacher.train()
        assert teacher.module.training is training
        teacher.eval()
        assert teacher.module.training is False
    student.train()
    student(torch.randn(8, 2))
    quiet.update(student)
    torch.testing.assert_close(quiet.module[1].running_mean, student[1].running_mean)


def test_at_rest_stays_so():
    module = AtRest(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))).train()
    before = module.module[1].running_mean.clone()
    assert not module(torch.randn(4, 2)).requires_grad
    assert torch.equal(module.module[1].running_mean, before)


@pytest.mark.parametrize("pieces", [[2, 2, 2], [1, 7], [5], [3, 4, 1]])
def test_queue_holds_the_last_rows(pieces):
    queue, rows = Queue(5, 1), torch.arange(20.0)[:, None]
    seen = 0
    for n in pieces:
        queue.push(rows[seen : seen + n])
        seen += n
    expected = rows[max(0, seen - 5) : seen, 0].tolist()
    assert sorted(queue.rows[:, 0].tolist()) == expected


def test_heads():
    head = ProjectionHead(D, 8, 3, layers=3)
    assert sum(isinstance(m, nn.Linear) for m in head) == 3
    assert head(torch.randn(5, D)).shape == (5, 3)
    prototypes, x = PrototypeHead(D, 7), torch.randn(5, D)
    expected = functional.cosine_similarity(x[:, None], prototypes.vectors[None], dim=2)
    torch.testing.assert_close(prototypes(x), expected)


def test_batch_norm_is_torchs_and_takes_one_row():
    mine, theirs = SharedBatchNorm(3), nn.BatchNorm1d(3)
    x = torch.randn(8, 3)
    torch.testing.assert_close(mine(x), theirs(x))
    torch.testing.assert_close(mine.running_var, theirs.running_var)
    assert mine(x[:1]).isfinite().all()


def test_bad_options_are_named():
    with pytest.raises(ParameterError, match="'decay'"):
        EmaTeacher(nn.Linear(1, 1), 1.5)
    with pytest.raises(ParameterError, match="'ramp'"):
        EmaTeacher(nn.Linear(1, 1), 0.9, ramp=-1)
    with pytest.raises(ParameterError, match="'size'"):
        Queue(0, 1)
