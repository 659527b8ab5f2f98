/** Runs a piece of src/external in a process of its own, whose environment is a test's to choose. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export interface Child {
  readonly stdout: string
  readonly stderr: string
}

export async function inChild(env: Readonly<Record<string, string>>, ...args: readonly string[]): Promise<Child> {
  const script = fileURLToPath(new URL('./child-main.ts', import.meta.url))
  const { PATH = '' } = process.env
  return await new Promise((resolve, reject) => {
    execFile(process.execPath, [script, ...args], { env: { PATH, ...env } }, (error, stdout, stderr) => {
      // Node itself warns of NODE_TLS_REJECT_UNAUTHORIZED when a TLS connection is made.
      if (error === null) resolve({ stdout, stderr })
      else reject(new Error(`the child failed: ${stderr}`))
    })
  })
}
