/** A CA of our own and what it signs, made by openssl, good for a day. */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export interface Authority {
  readonly caFile: string
  readonly ca: string
  /** A server's certificate; without other names for 127.0.0.1 and localhost. */
  issue(name: string, names?: readonly string[]): Issued
  /** A client's, by which an API server or a kubelet knows it as this person of this group. */
  issueClient(person: string, group: string): Issued
}

export interface Issued {
  readonly certFile: string
  readonly keyFile: string
}

const LOOPBACK = ['IP:127.0.0.1', 'DNS:localhost'] as const

const CURVE = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-noenc'] as const

export function certificateAuthority(directory: string): Authority {
  const caFile = join(directory, 'ca.crt')
  const caKeyFile = join(directory, 'ca.key')
  openssl(['req', '-x509', ...CURVE, '-keyout', caKeyFile, '-out', caFile, '-days', '1', '-subj', '/CN=test CA'])

  function sign(name: string, subject: string, extensions: string): Issued {
    const file = (end: string): string => join(directory, `${name}.${end}`)
    const [certFile, keyFile, extensionFile] = [file('crt'), file('key'), file('ext')]
    const request = openssl(['req', '-new', ...CURVE, '-keyout', keyFile, '-subj', subject])
    writeFileSync(extensionFile, extensions)
    const signing = ['-CA', caFile, '-CAkey', caKeyFile, '-CAcreateserial', '-days', '1', '-extfile', extensionFile]
    writeFileSync(certFile, openssl(['x509', '-req', ...signing], request))
    return { certFile, keyFile }
  }

  return {
    caFile,
    ca: readFileSync(caFile, 'utf8'),
    issue: (name, names = LOOPBACK) =>
      sign(name, `/CN=${name}`, `subjectAltName=${names.join(',')}\nextendedKeyUsage=serverAuth\n`),
    issueClient: (person, group) =>
      sign(`${person}-client`, `/O=${group}/CN=${person}`, 'extendedKeyUsage=clientAuth\n'),
  }
}

function openssl(args: readonly string[], input = ''): string {
  return execFileSync('openssl', args, { input, encoding: 'utf8', stdio: ['pipe', 'pipe', 'pipe'] })
}
