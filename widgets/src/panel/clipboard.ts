/** Takes code along. Gives what to tell the user; `select` marks the code where the browser has no clipboard for us. */
export async function copyCode(text: string, label: string, select: () => void): Promise<string> {
  try {
    await navigator.clipboard.writeText(text);
    return `Copied as ${label}.`;
  } catch {
    // No clipboard on a page served without TLS, or the browser denied it.
    select();
    return "The browser does not give access to the clipboard: the code is selected, press Ctrl+C (⌘C) to copy it.";
  }
}

/** The three ways to say the same. */
export const LANGUAGES = [
  ["bp", "%bp"],
  ["python", "Python"],
  ["rust", "Rust"],
] as const;

export type Language = (typeof LANGUAGES)[number][0];
