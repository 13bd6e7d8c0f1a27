"""Semi-supervised digits: 60 labels, the rest by consistency with a moving average of the weights."""
import copy
import torch
from torch import nn
import torch.nn.functional as F
import lvmcheck
from common import options, facts, real

TASK = "semi-supervised (mean teacher)"
FAULTS = {
    "teacher_stands_still": ("the moving average is never taken", ["copy_never_updated"], True),
    "consistency_1000": ("consistency has weight 1000", ["dominant_term", "other_term_weight"], True),
    "student_detached": ("the student's side of the consistency is detached", ["loss_term_detached"], True),
    "ramp_integer": ("the ramp is epoch // epochs, 0 until the end", ["other_term_weight", "hidden_term", "loss_term_detached"], False),
    "labels_by_position": ("the labels of the first 60 rows before shuffling are used", ["label_mismatch", "label_noise", "memorisation", "overfitting"], True),
}
HABITS = {"": "supervised and consistency term", "ramp_up": "consistency weight rises: the loss rises in between", "percent_teacher": "accuracy of teacher and student in percent each second epoch"}


def noise(x):
    return x + .35 * torch.randn_like(x)


def main():
    o = options()
    torch.manual_seed(17)
    d = real()
    order = torch.randperm(1797)
    y0 = torch.from_numpy(d["digit_label"]).long()
    x, y = torch.from_numpy(d["digits"]).float()[order] / 8 - 1, y0[order]
    lx, ly, ux, vx, vy = x[:60], y[:60], x[60:1400], x[1400:], y[1400:]
    if o.fault == "labels_by_position":
        ly = y0[:60]
    student = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Dropout(.2), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10))
    teacher = copy.deepcopy(student).requires_grad_(False)
    opt = torch.optim.Adam(student.parameters(), lr=2e-3)
    epochs, step = 14, 0

    def accuracy(net):
        net.eval()
        with torch.no_grad():
            out = net(vx)
        net.train()
        return (out.argmax(1) == vy).float().mean(), F.cross_entropy(out, vy)

    with lvmcheck.record(o.out, config={"epochs": epochs, "lr": 2e-3, "labels": 60}, seed=17) as rec:
        if o.watch:
            rec.watch(student, opt)
        for epoch in range(1, epochs + 1):
            weight = {"consistency_1000": 1000., "ramp_integer": 3. * (epoch // (epochs + 1))}.get(o.fault, 8. * min(1., epoch / 10) if o.habit == "ramp_up" else 3.)
            for rows in torch.randperm(len(ux)).split(64):
                pick = torch.randint(0, 60, (32,))
                out = student(noise(lx[pick]))
                unl = student(noise(ux[rows])).softmax(1)
                with torch.no_grad():
                    goal = teacher(noise(ux[rows])).softmax(1)
                if o.fault == "student_detached":
                    unl = unl.detach()
                sup = F.cross_entropy(out, ly[pick])
                cons = F.mse_loss(unl, goal)
                loss = sup + weight * cons
                opt.zero_grad()
                loss.backward()
                opt.step()
                step += 1
                if o.fault != "teacher_stands_still":
                    decay = min(.97, step / (step + 10))
                    with torch.no_grad():
                        for p, q in zip(teacher.parameters(), student.parameters()):
                            p.mul_(decay).add_(q, alpha=1 - decay)
                rec.step(loss=loss.detach(), terms={"supervised": (1., sup.detach()), "consistency": (weight, cons.detach())})
            sa, _ = accuracy(student)
            ta, tl = accuracy(teacher)
            if o.habit == "percent_teacher":
                if epoch % 2 == 0:
                    rec.epoch(epoch, val_teacher_acc=100 * ta, val_student_acc=100 * sa)
                else:
                    rec.epoch(epoch)
            else:
                rec.epoch(epoch, val_loss=tl, val_accuracy=ta, val_student_accuracy=sa)
    facts(score=ta, trivial=.1, student=sa)


if __name__ == "__main__":
    main()
