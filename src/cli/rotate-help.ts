/** What `keyhole rotate --help` prints. A test holds its flags to those that are read. */

export const ROTATE_HELP = `keyhole rotate [FLAGS]

Has keyhole move every Secret under its TransitKeys to a new key version, watches it, and stays until it is done. No
plaintext leaves Vault. The rotation is the service's: when this command is stopped, it goes on.

  --key NAME            a TransitKey; may be repeated. Without it: all that you may rotate
  --rewrap              move Secrets to the newest version there is; make none
  --dry-run             say what would happen; change nothing
  --retire WHEN         when old versions stop opening: after-grace (default), never, or now: for a version that is
                        compromised; leaves no older one, and does not wait for the key's minInterval
  --if-older-than AGE   only keys whose newest version is older (30s, 15m, 12h, 20d). Younger keys of which Secrets were
                        left behind have those moved, without a new version
  --budget TIME         how long to try and to watch, all in all (15m)
  --output text|json    json: stdout is one document: the report, {"type":"nothing-due"} or {"type":"error"}; progress
                        goes to stderr
  --help                this text

What may pass is tried again within the budget, as the same request: keyhole unreachable or unavailable, a stream that
broke, a rotation that stopped half-way. Another rotation is waited for. A Secret that is blocked is not tried again.

Environment
  KEYHOLE_ADDR          origin of keyhole, e.g. https://keyhole-rotate.keyhole.svc:8443; http:// on loopback only
  KEYHOLE_CACERT        PEM file of the CA to trust; without it, the system's
  KEYHOLE_TOKEN_FILE    your ServiceAccount token of keyhole's audience, read anew for every call
                        (/var/run/secrets/keyhole/token)
  NO_COLOR              no colours

Exit codes
  0  done: every Secret is where it should be; or nothing is due; or a dry run that nothing stands in the way of
  1  the command line, the environment or a file it names is wrong
  2  keyhole could not be reached, or was not done, within the budget; or the command was stopped. Run it again
  3  it ended, and Secrets are blocked or left, or the age of a key is not known. stdout says what to do about each
  4  keyhole refuses, and would again: no valid token, not granted, rotated a moment ago

A rotation that is asked for twice: within a key's minInterval keyhole makes no second version (ROTATED_RECENTLY). That is
exit 4, since what was asked for was not done: whoever rotates after an incident has to know. With --if-older-than it is
exit 0, since what was asked for is so. A CronJob should always have it: it may fire twice, and its pods are restarted.

As a CronJob, that is tried again for exit code 2 only
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

As a person, where the TransitKey names your ServiceAccount with podBound: false
  kubectl -n keyhole create token keyhole-admin --audience=keyhole --duration=1h > token
  KEYHOLE_ADDR=https://localhost:8443 KEYHOLE_CACERT=ca.crt KEYHOLE_TOKEN_FILE=token keyhole rotate --dry-run
`
