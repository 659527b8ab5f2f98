/**
 * Whether a tool writes this Secret from a repository. There the old ciphertext lives on, and the next sync may bring it
 * back: so such Secrets are named, and an old version is not retired under them.
 */
import type { HeldSecret } from './ports.ts'

/** The tool's name; undefined where nothing points to one. */
export function gitopsTool({
  labels,
  annotations,
  managers,
}: Pick<HeldSecret, 'labels' | 'annotations' | 'managers'>): string | undefined {
  const marks = [...labels.keys(), ...annotations.keys()]
  return TOOLS.find(
    ({ mark, manager }) => marks.some((name) => mark.test(name)) || managers.some((name) => manager.test(name)),
  )?.name
}

const TOOLS = [
  { name: 'Argo CD', mark: /^argocd\.argoproj\.io\//, manager: /^argocd-/ },
  { name: 'Flux', mark: /^(?:kustomize|helm)\.toolkit\.fluxcd\.io\//, manager: /^(?:kustomize|helm)-controller$/ },
] as const
