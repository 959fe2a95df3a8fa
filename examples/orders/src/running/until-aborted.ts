/** Resolves when the signal is aborted; at once when it is already. */
export async function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await new Promise((aborted) => signal.addEventListener('abort', aborted, { once: true }))
}
