/** `keyhole serve`: the service itself, until it is told to stop. */
import type { ExitCode, World } from './world.ts'
import { EXIT } from './world.ts'

export const SERVE_HELP = `keyhole serve

Serves reads, rotations or both, until it is told to stop. What the image runs when no command is given. It takes no flags:
every setting is a variable of the environment, and every complaint about them comes at once.

  --help                this text

Environment, as far as there is no default; docs/reference/configuration.md has all of it
  KEYHOLE_REALM         the name of the cluster, part of every Transit context
  VAULT_ADDR            origin of Vault, e.g. https://vault.vault.svc:8200
  KEYHOLE_TLS_CERT_FILE, KEYHOLE_TLS_KEY_FILE
                        certificate and key; re-read as they are renewed
and what is most often changed
  KEYHOLE_SERVE         read, rotate, or read,rotate (read)
  KEYHOLE_POLICY_DIR    where the policy is mounted (/etc/keyhole/policy)
  KEYHOLE_LOG_LEVEL     debug, info, warn or error (info)

Ports: 8443 for callers; 8081 for /livez, /readyz and /metrics. Decisions are recorded on stdout, keyhole's own log is on
stderr. Nothing is written to the disk.

Signals: SIGTERM and SIGINT let what is in flight end, within KEYHOLE_DRAIN_MS; a second one does not wait.

Exit codes
  0  told to stop, and stopped in order
  1  the environment is wrong, or a start that cannot succeed with it; told to stop twice; a defect. stderr says which

The memory bounds are flags of node, so they stand before the verb. The image has them
  node --max-semi-space-size=4 --max-old-space-size=96 --disable-sigusr1 /app/keyhole.mjs serve
`

/** Resolves once it serves, and ends the process itself. Nothing of the service is loaded before it is asked for. */
export async function serve(args: readonly string[], world: World): Promise<ExitCode> {
  if (args.some((arg) => arg === '--help' || arg === '-h')) {
    world.stdout.write(SERVE_HELP)
    return EXIT.done
  }
  if (args.length > 0) {
    world.stderr.write('keyhole serve takes no arguments: its settings are in the environment. --help tells more.\n')
    return EXIT.usage
  }
  const { runService } = await import('../service-process.ts')
  await runService(world.environment, world.signal)
  return EXIT.done
}
