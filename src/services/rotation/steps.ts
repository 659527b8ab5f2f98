/** What whoever watches is told while one Transit key is rotated. */
import type { RotationEvent, RotationStage } from '../../contract.ts'

export interface Steps {
  stage(stage: RotationStage, versions?: { readonly from?: number; readonly to?: number }): void
  progress(stage: 'move' | 'verify', done: number): void
}

/** @param total how many Secrets the key has. */
export function stepsOf(key: string, total: number, onEvent: (event: RotationEvent) => void): Steps {
  return {
    stage: (stage, versions = {}) => onEvent({ type: 'step', key, stage, ...versions }),
    progress: (stage, done) => onEvent({ type: 'progress', key, stage, done, total }),
  }
}
