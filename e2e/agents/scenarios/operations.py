"""Running things: servers, databases, containers, deployments, pipelines."""

from .steps import edit, fetch, glob, grep, read, say, sh, todo, turn, write

PIPELINE = """name: check
on: [push, pull_request]
jobs:
  test:
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@v4
      - run: make test
"""
COMPOSE = """services:
  web:
    build: .
    ports: ["8080:8080"]
    environment:
      DATABASE_URL: postgres://app:app@db:5432/app
  db:
    image: postgres:17
    environment:
      POSTGRES_PASSWORD: app
"""
DOCKERFILE = """FROM debian:12-slim
RUN apt-get update && apt-get install -y --no-install-recommends curl ca-certificates && rm -rf /var/lib/apt/lists/*
COPY . /app
CMD ["/app/run.sh"]
"""
MIGRATE = """import sqlite3
import sys
from pathlib import Path

db = sqlite3.connect("app.db")
db.execute("create table if not exists applied (name text primary key)")
for file in sorted(Path("migrations").glob("*.sql")):
    if not db.execute("select 1 from applied where name = ?", (file.name,)).fetchone():
        db.executescript(file.read_text())
        db.execute("insert into applied values (?)", (file.name,))
        print("applied", file.name)
db.commit()
"""
APP = """import os
from http.server import BaseHTTPRequestHandler, HTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(os.environ.get("GREETING", "hello").encode())


HTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8000"))), Handler).serve_forever()
"""

ALL = [
    {
        "name": "sql-migration",
        "agent": "claude-code",
        "project": "ledgerbook",
        "files": {"migrate.py": MIGRATE, "migrations/001_start.sql": "create table users (id integer primary key, email text);\n", ".gitignore": "app.db\n"},
        "turns": [
            turn(
                "Add a migration that gives users a created_at column with an index, and run it on a copy of the database first.",
                sh("ls -R . && cat migrations/*.sql"),
                sh("python3 migrate.py && cp app.db /tmp/copy.db"),
                write("migrations/002_created_at.sql", "alter table users add column created_at text not null default '1970-01-01';\ncreate index users_created_at on users (created_at);\n"),
                sh("sqlite3 /tmp/copy.db < migrations/002_created_at.sql && sqlite3 /tmp/copy.db '.schema users'"),
                sh("python3 migrate.py && sqlite3 app.db \"insert into users (email) values ('a@example.org'); select * from users\""),
                sh("rm /tmp/copy.db && git add -A && git commit -qm 'users.created_at' && git push 2>&1 | tail -1"),
            )
        ],
    },
    {
        "name": "docker-build",
        "agent": "codex-script",
        "project": "greeter",
        "files": {"Dockerfile": DOCKERFILE, "compose.yaml": COMPOSE, "run.sh": "#!/bin/sh\nexec python3 -m http.server 8080\n"},
        "stubs": {
            "docker": [
                ("build*", "[+] Building 4.1s (8/8) FINISHED\n => exporting to image\n => => naming to docker.io/library/greeter:dev"),
                ("compose up*", "Container greeter-db-1  Started\nContainer greeter-web-1  Started"),
                ("compose logs*", "web-1  | Serving HTTP on 0.0.0.0 port 8080"),
                ("compose down*", "Container greeter-web-1  Removed"),
                ("run*", "greeter 1.0"),
                ("ps*", "CONTAINER ID   IMAGE         STATUS\n3f1c0ab2d111   greeter:dev   Up 3 seconds"),
                ("images*", "REPOSITORY   TAG   SIZE\ngreeter      dev   98MB"),
                ("*", ""),
            ]
        },
        "turns": [
            turn(
                "The image is too big and runs as root. Make it smaller, with a user of its own, and check that compose still comes up.",
                sh("cat Dockerfile compose.yaml && docker images greeter"),
                edit("Dockerfile", "FROM debian:12-slim", "FROM python:3.13-alpine\nRUN adduser -D app"),
                edit("Dockerfile", "RUN apt-get update && apt-get install -y --no-install-recommends curl ca-certificates && rm -rf /var/lib/apt/lists/*", "WORKDIR /app"),
                edit("Dockerfile", 'CMD ["/app/run.sh"]', 'USER app\nCMD ["/app/run.sh"]'),
                sh("chmod +x run.sh && docker build -t greeter:dev . && docker run --rm greeter:dev --version"),
                sh("docker compose up -d && sleep 1 && docker compose logs web && docker ps"),
                sh("docker compose down -v && git commit -qam 'Smaller image, not root' && git push 2>&1 | tail -1"),
            )
        ],
    },
    {
        "name": "ci-cache",
        "agent": "opencode-chat",
        "project": "toolbox",
        "files": {".github/workflows/check.yml": PIPELINE, "Makefile": "test:\n\t@echo ok\n"},
        "stubs": {"gh": [("run list*", "completed\tsuccess\tcheck\tmain\tpush\t9931\t41s"), ("run view*", "test  set up job  9s\ntest  make test  28s"), ("pr create*", "https://forge.example.org/dev/toolbox/pull/7"), ("*", "")]},
        "turns": [
            turn(
                "CI takes long. See where the time goes, cache what can be cached, and open a pull request.",
                sh("gh run list --limit 5 && gh run view 9931 --log | head -20"),
                read(".github/workflows/check.yml"),
                edit(".github/workflows/check.yml", "      - run: make test", "      - uses: actions/cache@v4\n        with:\n          path: ~/.cache/toolbox\n          key: toolbox-${{ hashFiles('Makefile') }}\n      - run: make test\n        env:\n          TOKEN: ${{ secrets.TOOLBOX_TOKEN }}"),
                sh("python3 -c \"import sys; print(len(open('.github/workflows/check.yml').read()))\" && make test"),
                sh("git switch -q -c ci-cache && git commit -qam 'Cache in CI' && git push -qu origin ci-cache && gh pr create --fill --base main"),
            )
        ],
    },
    {
        "name": "env-example",
        "agent": "claude-code",
        "project": "mailer",
        "files": {
            ".env": "SMTP_HOST=localhost\nSMTP_PORT=1025\nSMTP_PASSWORD=local-only-pass\nSENTRY_DSN=\n",
            ".gitignore": ".env\n",
            "mailer.py": "import os\n\nHOST = os.environ['SMTP_HOST']\nPORT = int(os.environ['SMTP_PORT'])\nPASSWORD = os.environ.get('SMTP_PASSWORD', '')\n",
        },
        "turns": [
            turn(
                "New people do not know which variables they need. Write a .env.example from my .env without the values, and explain it in the README.",
                sh("cat .env && grep -n environ *.py"),
                write(".env.example", "SMTP_HOST=localhost\nSMTP_PORT=1025\nSMTP_PASSWORD=\nSENTRY_DSN=\n"),
                write("README.md", "# mailer\n\n```sh\ncp .env.example .env\nset -a; . ./.env; set +a\npython3 mailer.py\n```\n"),
                sh("set -a; . ./.env; set +a; python3 mailer.py && diff <(cut -d= -f1 .env) <(cut -d= -f1 .env.example) && echo same names"),
                sh("git check-ignore .env && git add .env.example README.md && git commit -qm 'Document the environment' && git push 2>&1 | tail -1"),
            )
        ],
    },
    {
        "name": "ssh-deploy",
        "agent": "codex-patch",
        "project": "status-page",
        "files": {"deploy.sh": "#!/bin/sh\nset -e\nrsync -az --delete dist/ deploy@status.example.org:/srv/status/\nssh deploy@status.example.org sudo systemctl reload nginx\n", "dist/index.html": "<h1>All systems work</h1>\n"},
        "stubs": {
            "ssh": [("*systemctl status*", "nginx.service - web server\n   Active: active (running)"), ("*", "")],
            "rsync": [("*", "sending incremental file list\nindex.html")],
            "scp": [("*", "")],
        },
        "turns": [
            turn(
                "Deploy the status page to our host status.example.org and look whether nginx is well afterwards.",
                sh("cat deploy.sh && ls -la dist"),
                sh("chmod +x deploy.sh && ./deploy.sh"),
                sh("ssh deploy@status.example.org 'systemctl status nginx --no-pager | head -3; df -h / | tail -1'"),
                sh("scp deploy@status.example.org:/var/log/nginx/error.log /tmp/error.log; tail -5 /tmp/error.log 2>/dev/null; true"),
                edit("deploy.sh", "set -e", "set -eu"),
                sh("git commit -qam 'deploy.sh: stop at unset names' && git push 2>&1 | tail -1"),
            )
        ],
    },
    {
        "name": "local-server-debug",
        "agent": "gemini-cli",
        "project": "hello-web",
        "files": {"app.py": APP},
        "turns": [
            turn(
                "The greeting is ignored when I start the app. Try it out and tell me why.",
                read("app.py"),
                sh("(GREETING=hi PORT=8123 timeout 5 python3 app.py > /tmp/app.log 2>&1 &) ; sleep 1; curl -s http://127.0.0.1:8123/; echo; curl -sI http://localhost:8123/ | head -3"),
                sh("ps aux | grep '[a]pp.py' | wc -l; ss -ltn | grep 8123 | wc -l"),
                edit("app.py", '        self.wfile.write(os.environ.get("GREETING", "hello").encode())', '        self.wfile.write((os.environ.get("GREETING") or "hello").encode() + b"\\n")'),
                sh("pkill -f 'python3 app.py'; (GREETING= PORT=8124 timeout 4 python3 app.py >/dev/null 2>&1 &) ; sleep 1; curl -s localhost:8124"),
                sh("git commit -qam 'An empty greeting is none' && git log --oneline | cat"),
            )
        ],
    },
    {
        "name": "kubernetes-rollout",
        "agent": "opencode-anthropic",
        "project": "platform",
        "files": {"k8s/web.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: web }\nspec:\n  replicas: 1\n  template:\n    spec:\n      containers:\n        - { name: web, image: 'registry.example.org/web:41' }\n"},
        "stubs": {
            "kubectl": [
                ("get pods*", "NAME                   READY   STATUS             RESTARTS\nweb-7c9f5b4d9-2xkqp    0/1     CrashLoopBackOff   12"),
                ("logs*", "panic: cannot connect to redis:6379"),
                ("describe*", "Events:\n  Warning  BackOff  kubelet  Back-off restarting failed container"),
                ("apply*", "deployment.apps/web configured"),
                ("rollout status*", 'deployment "web" successfully rolled out'),
                ("diff*", "-  replicas: 1\n+  replicas: 3"),
                ("*", "staging"),
            ],
            "helm": [("*", "NAME   REVISION  STATUS\nredis  3         deployed")],
        },
        "turns": [
            turn(
                "The web pods crash in staging. Find out why, give web three replicas and roll it out there.",
                sh("kubectl config current-context && kubectl get pods -n web"),
                sh("kubectl logs -n web deploy/web --tail=20; kubectl describe pod -n web | tail -5; helm list -n web"),
                read("k8s/web.yaml"),
                edit("k8s/web.yaml", "  replicas: 1", "  replicas: 3"),
                sh("kubectl diff -f k8s/web.yaml; kubectl apply -n web -f k8s/web.yaml && kubectl rollout status -n web deploy/web"),
                sh("git commit -qam 'web: three replicas' && git push 2>&1 | tail -1"),
            )
        ],
    },
    {
        "name": "terraform-plan",
        "agent": "cline",
        "project": "infra",
        "files": {"main.tf": 'resource "aws_s3_bucket" "logs" {\n  bucket = "example-logs"\n}\n', "terraform.tfvars.example": "region = \"eu-central-1\"\n"},
        "stubs": {"terraform": [("fmt*", ""), ("validate*", "Success! The configuration is valid."), ("plan*", "Plan: 1 to add, 0 to change, 0 to destroy."), ("*", "Terraform has been successfully initialized!")], "aws": [("*", '{"Account": "000000000000", "Arn": "arn:aws:iam::000000000000:user/dev"}')]},
        "turns": [
            turn(
                "Put a lifecycle rule on the log bucket that removes logs after 30 days, and show me the plan. Do not apply it.",
                sh("cat main.tf && terraform init -input=false && aws sts get-caller-identity"),
                sh("cat >> main.tf <<'END'\n\nresource \"aws_s3_bucket_lifecycle_configuration\" \"logs\" {\n  bucket = aws_s3_bucket.logs.id\n  rule {\n    id     = \"old\"\n    status = \"Enabled\"\n    expiration { days = 30 }\n  }\n}\nEND"),
                sh("terraform fmt -check; terraform validate && terraform plan -out=/tmp/plan"),
                sh("git switch -qc log-lifecycle && git commit -qam 'Logs go after 30 days' && git push -u origin log-lifecycle 2>&1 | tail -1"),
            )
        ],
    },
    {
        "name": "git-history",
        "agent": "claude-code",
        "project": "notes",
        "files": {"a.txt": "one\n", "b.txt": "two\n"},
        "setup": "git switch -qc topic && echo three >> a.txt && git commit -qam wip && echo four >> a.txt && git commit -qam 'fixup' && git switch -q main && echo zwei > b.txt && git commit -qam 'b in German' && git push -q",
        "turns": [
            turn(
                "Rebase topic on main, squash its two commits into one with a proper message, and push it.",
                sh("git fetch origin && git log --oneline --graph --all"),
                sh("git switch topic && git rebase main && git reset --soft main && git commit -qm 'Count to four' && git log --oneline -3"),
                sh("git push --force-with-lease -u origin topic 2>&1 | tail -2; git remote -v"),
                sh("git branch -d topic; git tag v0.1 && git push origin v0.1 2>&1 | tail -1; git bisect start && git bisect reset"),
                sh("git stash list; git clean -nd; git config user.email; git blame a.txt | cat"),
            )
        ],
    },
    {
        "name": "backup-script",
        "agent": "opencode-responses",
        "project": "backup",
        "files": {"README.md": "# backup\n"},
        "turns": [
            turn(
                "Write a script that packs a folder into an archive with its date, keeps the last three, and test it on a temporary folder.",
                write("backup.sh", "#!/bin/bash\nset -euo pipefail\nfrom=$1 to=$2\nmkdir -p \"$to\"\ntar -czf \"$to/$(date +%F-%H%M%S).tgz\" -C \"$from\" .\nls -1t \"$to\"/*.tgz | tail -n +4 | xargs -r rm --\n"),
                sh("chmod +x backup.sh && bash -n backup.sh && mkdir -p /tmp/from && echo x > /tmp/from/x"),
                sh("for i in 1 2 3 4 5; do ./backup.sh /tmp/from /tmp/to; sleep 1.1; done; ls /tmp/to | wc -l; tar -tzf \"$(ls -1t /tmp/to/*.tgz | head -1)\""),
                sh("(crontab -l 2>/dev/null || true) | head -3; rm -rf /tmp/from /tmp/to"),
                sh("git add backup.sh && git update-index --chmod=+x backup.sh && git commit -qm 'A backup script' && git push 2>&1 | tail -1"),
            )
        ],
    },
]
