"""A small student learns from a trained teacher's soft answers."""
import torch
from torch import nn
import torch.nn.functional as F
import lvmcheck
from common import options, facts

TASK = "knowledge distillation"
FAULTS = {
    "answers_out_of_order": ("soft answers were stored in the order of the data set, rows come shuffled", ["label_mismatch", "not_learning", "label_noise"], True),
    "probabilities_to_kl": ("kl_div is given the student's probabilities, not their log", ["log_missing", "loss_sign", "softmax_too_many"], True),
    "teacher_over_batch": ("the teacher's softmax runs over the batch", ["rows_mix", "label_mismatch", "not_learning", "wrong_scale"], True),
    "student_head_detached": ("the student's features are detached before its last layer", ["graph_cut"], True),
}
HABITS = {"": "KL to soft answers at temperature 3", "hundredth_data": "few steps: 60 in all, logged as steps only"}


def main():
    o = options()
    torch.manual_seed(22)
    c = torch.randn(12, 24) * .8
    y = torch.randint(0, 12, (3000,))
    x = c[y] + torch.randn(3000, 24)
    x = torch.where(x > 0, x, .3 * x * x)
    tx, ty, vx, vy = x[:2400], y[:2400], x[2400:], y[2400:]
    teacher = nn.Sequential(nn.Linear(24, 96), nn.ReLU(), nn.Dropout(.2), nn.Linear(96, 12))
    ot = torch.optim.Adam(teacher.parameters(), 3e-3)
    for _ in range(6):
        for r in torch.randperm(2400).split(60):
            l = F.cross_entropy(teacher(tx[r]), ty[r])
            ot.zero_grad(); l.backward(); ot.step()
    teacher.eval().requires_grad_(False)
    body, head = nn.Sequential(nn.Linear(24, 20), nn.ReLU()), nn.Linear(20, 12)
    student = nn.Sequential(body, head)
    opt = torch.optim.Adam(student.parameters(), lr=4e-3)
    T = 3.
    soft = (teacher(tx) / T).softmax(0 if o.fault == "teacher_over_batch" else 1)
    epochs = 2 if o.habit == "hundredth_data" else 9

    class Student(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.head = body, head

        def forward(self, b):
            if o.fault == "no_gradient_mode":
                with torch.no_grad():
                    h = self.body(b)
            else:
                h = self.body(b)
            return self.head(h.detach() if o.fault == "student_head_detached" else h)
    student = Student()
    opt = torch.optim.Adam(student.parameters(), lr=4e-3)
    with lvmcheck.record(o.out, config={"temperature": T, "lr": 4e-3}) as rec:
        if o.watch:
            rec.watch(student, opt, train=torch.utils.data.TensorDataset(tx, ty), val=torch.utils.data.TensorDataset(vx, vy))
        n = 0
        for e in range(epochs):
            for i, r in enumerate(torch.randperm(2400).split(80)):
                z = student(tx[r]) / T
                want = soft[80 * i:80 * i + 80] if o.fault == "answers_out_of_order" else soft[r]
                kl = F.kl_div(z.softmax(1) if o.fault == "probabilities_to_kl" else z.log_softmax(1), want, reduction="batchmean") * T * T
                opt.zero_grad()
                kl.backward()
                opt.step()
                n += 1
                rec.step(loss=kl.item())
                if epochs == 2 and n % 10 == 0:
                    with torch.no_grad():
                        student.eval()
                        rec.log({"test_top1": 100 * (student(vx).argmax(1) == vy).float().mean()})
                        student.train()
            student.eval()
            with torch.no_grad():
                z = student(vx)
                agree = (z.argmax(1) == teacher(vx).argmax(1)).float().mean()
                top = (z.argmax(1) == vy).float().mean()
                vk = F.kl_div((z / T).log_softmax(1), (teacher(vx) / T).softmax(1), reduction="batchmean") * T * T
            student.train()
            if epochs > 2:
                rec.epoch(e + 1, val_kl=vk, val_agreement=agree, val_top1=100 * top)
    facts(score=top, trivial=torch.bincount(vy).max() / len(vy), kl=vk, teacher=(teacher(vx).argmax(1) == vy).float().mean())


if __name__ == "__main__":
    main()
