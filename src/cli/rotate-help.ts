/** What `keyhole rotate --help` prints. A test holds its flags to those that are read. */

export const ROTATE_HELP = `keyhole rotate [FLAGS]

Tells keyhole to move every Secret under its TransitKeys to a new key version, shows progress, and waits for the end. No
plaintext leaves Vault. The service does the work: if this command is stopped, the rotation goes on.

  --key NAME            a TransitKey; may be repeated. Without it, all that you may rotate
  --rewrap              move Secrets to the newest version there is, without making one
  --dry-run             say what would happen, and change nothing
  --retire WHEN         when old versions stop decrypting: after-grace (default), never, or now. now is for a
                        compromised version: it leaves no older one, and does not wait for the key's minInterval
  --if-older-than AGE   only keys whose newest version is older than AGE (30s, 15m, 12h, 20d). If Secrets of a younger
                        key were left behind, they are moved without a new version
  --budget TIME         how long to try and to wait in all (15m)
  --output text|json    json: stdout is one document: the report, {"type":"nothing-due"} or {"type":"error"}; progress
                        goes to stderr
  --help                this text

Temporary failures are retried within the budget, as the same request: keyhole cannot be reached or is unavailable,
the connection breaks, the rotation stops half-way. If another rotation is running, this waits for it. Blocked Secrets
are not retried.

Environment
  KEYHOLE_ADDR          origin of keyhole, e.g. https://keyhole-rotate.keyhole.svc:8443; http:// on loopback only
  KEYHOLE_CACERT        PEM file of the CA to trust; without it, the system's
  KEYHOLE_TOKEN_FILE    your ServiceAccount token of keyhole's audience, read anew for every call
                        (/var/run/secrets/keyhole/token)
  NO_COLOR              no colours

Exit codes
  0  done: every Secret is where it should be; or nothing is due; or the dry run found no obstacle
  1  the command line, the environment or a file that it names is wrong
  2  keyhole could not be reached, or did not finish, within the budget; or the command was stopped. Run it again
  3  the rotation ended, and somebody has to do something before the next: Secrets are blocked, the age of a key cannot
     be known, or with --retire=now an old version still opens. stdout says what to do about each
  4  keyhole refuses, and would refuse again: no valid token, not granted, rotated a moment ago

Rotating twice: within a key's minInterval keyhole makes no second version (ROTATED_RECENTLY). That is exit 4, because
no version was made, and whoever rotates after an incident has to know. With --if-older-than it is exit 0, because the
key is as young as required. A CronJob should always use that flag: it may fire twice, and its pods are restarted.

As a CronJob that is retried for exit code 2 only
  apiVersion: batch/v1
  kind: CronJob
  metadata: { name: keyhole-rotate, namespace: keyhole }
  spec:
    schedule: "0 3 1 * *"
    concurrencyPolicy: Forbid
    jobTemplate:
      spec:
        backoffLimit: 3
        podFailurePolicy:
          rules:
            - { action: FailJob, onExitCodes: { operator: In, values: [1, 3, 4] } }
        template:
          spec:
            restartPolicy: Never
            serviceAccountName: keyhole-cron
            automountServiceAccountToken: false
            containers:
              - name: rotate
                image: keyhole
                command: [keyhole, rotate, --if-older-than=1h]
                env:
                  - { name: KEYHOLE_ADDR, value: "https://keyhole-rotate.keyhole.svc:8443" }
                  - { name: KEYHOLE_CACERT, value: /etc/keyhole/ca/ca.crt }
                volumeMounts:
                  - { name: token, mountPath: /var/run/secrets/keyhole, readOnly: true }
                  - { name: ca, mountPath: /etc/keyhole/ca, readOnly: true }
            volumes:
              - name: token
                projected:
                  sources:
                    - serviceAccountToken: { audience: keyhole, expirationSeconds: 3600, path: token }
              - { name: ca, configMap: { name: keyhole-ca } }

As a person, if the TransitKey names your ServiceAccount with podBound: false. The certificate must name localhost
  kubectl -n keyhole port-forward service/keyhole-rotate 8443 &
  kubectl -n keyhole create token keyhole-admin --audience=keyhole --duration=1h > token
  KEYHOLE_ADDR=https://localhost:8443 KEYHOLE_CACERT=ca.crt KEYHOLE_TOKEN_FILE=token keyhole rotate --dry-run
`
