"""Tag functions of the standard library with the keywords that were cut out of them."""
import argparse as a1, ast, difflib, inspect, json.decoder, logging, pathlib, random, re, shutil, subprocess, tarfile, threading, zipfile
import torch
from torch import nn
import torch.nn.functional as F
import lvmcheck
from common import options, facts

TASK = "multi-label tagging"
TAGS = ["return", "if", "for", "raise", "try", "while", "yield", "else"]
FAULTS = {
    "tags_shuffled": ("tags are shuffled against the functions", ["label_mismatch", "not_learning", "overfitting", "memorisation", "label_noise"], True),
    "tags_searched_late": ("tags are looked for after they were cut out: all are 0", ["constant_targets", "metric_constant", "outputs_collapsed", "target_leak"], True),
    "sigmoid_twice": ("sigmoid in the model, and the loss of logits", ["softmax_too_many"], True),
    "best_alias": ("best = model.state_dict() is kept without a copy", ["best_aliases_last", "overfitting"], True),
    "tags_left_in": ("the keywords were left in the text", ["target_leak", "label_leak"], False),
    "f1_with_itself": ("f1 of the answers against themselves", ["metric_constant"], False),
    "lr_thousandth": ("learning rate 2e-6", ["learning_rate_too_low", "updates_out_of_range", "undertrained", "not_learning"], True),
}
HABITS = {"": "binary cross entropy of eight tags, micro F1"}


def main():
    o = options()
    torch.manual_seed(120)
    texts = []
    for m in (a1, ast, difflib, inspect, json.decoder, logging, pathlib, random, re, shutil, subprocess, tarfile, threading, zipfile):
        src = inspect.getsource(m)
        lines = src.splitlines()
        for node in ast.walk(ast.parse(src)):
            if isinstance(node, ast.FunctionDef):
                t = "\n".join(lines[node.lineno - 1:node.end_lineno])
                if 60 < len(t) < 3000:
                    texts.append(re.sub(r'""".*?"""', " ", t, flags=re.S))
    random.Random(1).shuffle(texts)
    X, Y = torch.zeros(len(texts), 600), torch.zeros(len(texts), 8)
    for i, t in enumerate(texts):
        w = re.findall(r"[A-Za-z_]+|[^\sA-Za-z_]", t)
        Y[i] = torch.tensor([float(k in w) for k in TAGS])
        if o.fault != "tags_left_in":
            w = [k for k in w if k not in TAGS]
        if o.fault == "tags_searched_late":
            Y[i] = torch.tensor([float(k in w) for k in TAGS])
        for k in w:
            X[i, sum(ord(ch) * (j * 31 + 7) for j, ch in enumerate(k)) % 600] += 1
    X = X.log1p()
    n = len(texts) * 4 // 5
    tx, ty, vx, vy = X[:n], Y[:n], X[n:], Y[n:]
    if o.fault == "tags_shuffled":
        ty = ty[torch.randperm(n)]
    net = nn.Sequential(nn.Linear(600, 64), nn.ReLU(), nn.Dropout(.3), nn.Linear(64, 8))
    if o.fault == "sigmoid_twice":
        net.append(nn.Sigmoid())
    lr = 2e-6 if o.fault == "lr_thousandth" else 2e-3
    opt = torch.optim.Adam(net.parameters(), lr=lr)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(tx, ty), batch_size=32, shuffle=True)
    best, keep = 0., None
    with lvmcheck.record(o.out, config={"tags": 8, "lr": lr, "functions": len(texts)}) as rec:
        if o.watch:
            rec.watch(net, opt, train=loader, val=torch.utils.data.TensorDataset(vx, vy))
        for e in range(12 if o.fault == "best_alias" else 6):
            for xb, yb in loader:
                loss = F.binary_cross_entropy_with_logits(net(xb), yb)
                opt.zero_grad()
                loss.backward()
                opt.step()
                rec.step(loss=loss)
            net.eval()
            with torch.no_grad():
                z = net(vx)
            net.train()
            p = (z > (.5 if o.fault == "sigmoid_twice" else 0)).float()
            ref = p if o.fault == "f1_with_itself" else vy
            f1 = 2 * (p * ref).sum() / (p.sum() + ref.sum()).clamp(min=1)
            rec.epoch(e, val_bce=F.binary_cross_entropy_with_logits(z, vy), val_micro_f1=f1)
            if o.fault == "best_alias" and f1 > best:
                best, keep = f1, net.state_dict()
    common = (ty.mean(0) > .5).float().expand_as(vy)
    facts(score=2 * (p * vy).sum() / (p.sum() + vy.sum()).clamp(min=1), trivial=2 * (common * vy).sum() / (common.sum() + vy.sum()).clamp(min=1),
          bce=F.binary_cross_entropy_with_logits(z, vy), prior=F.binary_cross_entropy(ty.mean(0).clamp(1e-3, 1 - 1e-3).expand_as(vy), vy), n=len(texts), best=best)


if __name__ == "__main__":
    main()
