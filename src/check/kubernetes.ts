/** The API server: whether it is there, whether it is the one that is trusted, and who it says we are. */
import type { Trusted } from './certificates.ts'
import { clock } from './clocks.ts'
import { unreached } from './failures.ts'
import type { Checking, Finding } from './finding.ts'
import { ok, skipped, toFix } from './finding.ts'
import type { CheckParts, KubernetesPort } from './ports.ts'
import { step } from './step.ts'
import type { OwnToken, OwnTokens } from './tokens.ts'

/** Undefined where nothing more can be asked. Whoever gets a port closes it. */
export async function* apiServer(
  parts: CheckParts,
  own: OwnTokens,
  trusted: Trusted,
): Checking<KubernetesPort | undefined> {
  if (own.kubernetes === undefined || trusted.kubernetes === undefined) {
    const because = own.kubernetes === undefined ? 'kubernetes-token' : 'kubernetes-ca'
    yield* skipped(because, 'kubernetes', 'identity', 'kubernetes-clock')
    return undefined
  }
  const port = parts.kubernetes(own.kubernetes.token, trusted.kubernetes.pem)
  const username = yield* reached(parts, port)
  if (username !== undefined) {
    yield* identity(username, own)
    yield* clock('kubernetes-clock', port)
    return port
  }
  await port.close()
  return undefined
}

async function* reached(parts: CheckParts, port: KubernetesPort): Checking<string | undefined> {
  try {
    const username = await step(parts, port.whoAmI)
    yield ok('kubernetes', `${parts.config.kubernetesUrl} answers`)
    return username
  } catch (error) {
    yield await unreached('kubernetes', error, port, parts.signal)
    yield* skipped('kubernetes', 'identity', 'kubernetes-clock')
    return undefined
  }
}

const SERVICE_ACCOUNT = /^system:serviceaccount:([^:]+):([^:]+)$/

function* identity(username: string, { vault }: OwnTokens): Generator<Finding> {
  const account = SERVICE_ACCOUNT.exec(username)
  if (account === null) {
    return yield toFix(
      'identity',
      `the API server calls this token ${username}`,
      'give keyhole a token of its own ServiceAccount',
    )
  }
  if (differs(vault, username)) {
    return yield toFix(
      'identity',
      `the token for the API server is of ${username}, the one for Vault of ${vault?.subject}`,
      'mount both tokens in the pod of one ServiceAccount',
    )
  }
  yield ok('identity', `${account[1]}/${account[2]}`)
}

function differs(token: OwnToken | undefined, username: string): boolean {
  return token?.subject !== undefined && token.subject !== username
}
