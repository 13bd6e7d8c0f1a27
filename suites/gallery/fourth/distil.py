"""A small student learns from a large teacher."""
import torch
from torch import nn
import torch.nn.functional as F
import lvmcheck
from .common import moved, snapshot

TASK = "distillation"


def main(rec_dir, watch, broken=None, habit=None):
    torch.manual_seed(50)
    truth = nn.Sequential(nn.Linear(16, 40), nn.Tanh(), nn.Linear(40, 10)).requires_grad_(False)
    truth[0].weight.mul_(3); truth[2].weight.mul_(5)
    label = lambda x: torch.distributions.Categorical(logits=truth(x)).sample()
    X = torch.randn(9000, 16); Y = label(X)
    U = torch.randn(3000, 16)
    VX = torch.randn(1500, 16); VY = truth(VX).argmax(1)
    UY = label(U)
    teacher = nn.Sequential(nn.Linear(16, 256), nn.ReLU(), nn.Dropout(0.3), nn.Linear(256, 256), nn.ReLU(), nn.Dropout(0.3), nn.Linear(256, 10))
    if broken != "teacher_not_loaded":
        o = torch.optim.Adam(teacher.parameters(), 2e-3)
        for _ in range(10):
            for i in torch.randperm(9000).split(150):
                l = F.cross_entropy(teacher(X[i]), Y[i]); o.zero_grad(); l.backward(); o.step()
    student = nn.Sequential(nn.Linear(16, 48), nn.ReLU(), nn.Linear(48, 10))
    s0, t0 = snapshot(student), snapshot(teacher)
    if broken == "teacher_in_train_mode":
        teacher.train()
    else:
        teacher.eval()
    watched = teacher if broken == "optimizer_has_teacher" else student
    opt = torch.optim.Adam(watched.parameters(), lr=3e-3)
    tau, alpha = 3.0, 0.3 if habit == "mixed_with_labels" else 0.0
    E = 12
    agree = 0
    with lvmcheck.record(rec_dir, config={"epochs": E, "lr": 3e-3, "tau": tau, "alpha": alpha}) as rec:
        if watch:
            rec.watch(student, opt)
        for ep in range(E):
            student.train()
            for i in torch.randperm(3000).split(60):
                with torch.no_grad() if broken != "optimizer_has_teacher" else torch.enable_grad():
                    tl = teacher(U[i])
                    if broken == "teacher_from_other_batch":
                        tl = teacher(U[i.flip(0)])
                sl = student(U[i])
                if broken == "probabilities_for_log_probabilities":
                    kd = F.kl_div((sl / tau).softmax(1), (tl / tau).softmax(1), reduction="batchmean") * tau ** 2
                elif broken == "softmax_over_batch":
                    kd = F.kl_div((sl / tau).log_softmax(0), (tl / tau).softmax(0), reduction="batchmean") * tau ** 2
                elif broken == "temperature_in_the_wrong_place":
                    kd = F.kl_div((sl / tau).log_softmax(1), (tl / 1000.).softmax(1), reduction="batchmean") * tau ** 2
                elif broken == "student_under_teacher_name":
                    kd = F.kl_div((tl / tau).log_softmax(1), (tl / tau).softmax(1), reduction="batchmean") * tau ** 2 + 0 * sl.sum()
                elif habit == "squared_logits":
                    kd = ((sl - tl) ** 2).mean()
                else:
                    kd = F.kl_div((sl / tau).log_softmax(1), (tl / tau).softmax(1), reduction="batchmean") * tau ** 2
                ce = F.cross_entropy(sl, UY[i])
                loss = (1 - alpha) * kd + alpha * ce
                opt.zero_grad(); loss.backward(); opt.step()
                rec.step(loss=loss.item(), terms={"kd": (1 - alpha, kd.item()), "ce": (alpha, ce.item())} if habit == "mixed_with_labels" else None)
            student.eval()
            with torch.no_grad():
                out = student(VX)
                acc = (out.argmax(1) == VY).float().mean().item()
                agree = (out.argmax(1) == teacher(VX).argmax(1)).float().mean().item()
                if broken == "teacher_is_evaluated":
                    acc, agree = (teacher(VX).argmax(1) == VY).float().mean().item(), 1.0
            rec.epoch(ep, val_top1=acc, teacher_agreement=agree)
    with torch.no_grad():
        s = (student(VX).argmax(1) == VY).float().mean().item()
    return dict(score=s, trivial=(VY == VY.mode().values).float().mean().item(), good=0.6, reported=acc, student=moved(s0, student), teacher=moved(t0, teacher),
                teacher_training=teacher.training)


HEALTHY = {
    "base": "divergence from a teacher's soft outputs, without labels",
    "mixed_with_labels": "three tenths of the loss are labels",
    "squared_logits": "squared distance of logits",
}
BROKEN = [
    ("teacher_not_loaded", "the teacher's checkpoint is not loaded", "pretrained weights not loaded", "curves"),
    ("teacher_in_train_mode", "the teacher is left in train mode", "a frozen part runs in train mode", "watch", "r['teacher_training']"),
    ("optimizer_has_teacher", "the optimizer is given the teacher's parameters", "optimizer holds the wrong model", "both", "r['student']==0"),
    ("teacher_from_other_batch", "teacher and student see the batch in different order", "inputs do not belong to their targets", "curves"),
    ("probabilities_for_log_probabilities", "kl_div gets probabilities where it expects logs", "loss expects log probabilities", "both"),
    ("softmax_over_batch", "softmax over the batch axis", "softmax over the wrong axis", "curves"),
    ("temperature_in_the_wrong_place", "the teacher's temperature is 1000", "temperature far too high", "curves"),
    ("student_under_teacher_name", "the divergence compares the teacher with itself", "wrong variable used", "both", "r['student']==0"),
    ("teacher_is_evaluated", "the teacher is evaluated under the student's name", "wrong model evaluated", "curves", "r['reported'] != r['score']"),
]
