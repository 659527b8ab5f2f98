/** `keyhole serve`: the service itself, until it is told to stop. */
import { complain } from './complain.ts'
import { openScreen } from './screen.ts'
import type { ExitCode, World } from './world.ts'
import { EXIT } from './world.ts'

export const SERVE_HELP = `keyhole serve

Serves reads, rotations or both until it is stopped. This is what the image runs if no command is given. It takes no
flags: every setting is an environment variable, and everything that is wrong with them is reported at once.

  --help                this text

Environment: variables that have no default; docs/reference/configuration.md lists all
  KEYHOLE_REALM         the name of the cluster, part of every Transit context
  VAULT_ADDR            origin of Vault, e.g. https://vault.vault.svc:8200
  KEYHOLE_TLS_CERT_FILE, KEYHOLE_TLS_KEY_FILE
                        certificate and key; read again when they are renewed
and those that are changed most often
  KEYHOLE_SERVE         read, rotate, or read,rotate (read)
  KEYHOLE_POLICY_DIR    where the policy is mounted (/etc/keyhole/policy)
  KEYHOLE_LOG_LEVEL     debug, info, warn or error (info)

Ports: 8443 for callers; 8081 for /livez, /readyz and /metrics. By default the audit log goes to stdout and nothing is
written to disk. keyhole's own log goes to stderr.

Signals: after SIGTERM or SIGINT, requests in flight may finish within KEYHOLE_DRAIN_MS; a second signal ends it at
once.

Exit codes
  0  stopped in order, after a signal
  1  the environment is wrong, or the start cannot succeed with it; a second signal; a defect. stderr says which

The memory limits are flags of node, so they come before the verb. The image has them
  node --max-semi-space-size=4 --max-old-space-size=96 --disable-sigusr1 /app/keyhole.mjs serve
`

/** Resolves once it serves, and ends the process itself. Nothing of the service is loaded before it is asked for. */
export async function serve(args: readonly string[], world: World): Promise<ExitCode> {
  if (args.some((arg) => arg === '--help' || arg === '-h')) {
    world.stdout.write(SERVE_HELP)
    return EXIT.done
  }
  if (args.length > 0) {
    // None of them is quoted: what somebody meant for a setting may be a token.
    const complaints = ['it takes no arguments: its settings are in the environment.']
    return complain(openScreen(world.stderr, world.environment), 'serve', complaints, 'Nothing was started.')
  }
  const { runService } = await import('../service-process.ts')
  await runService(world.environment, world.signal)
  return EXIT.done
}
