// Which words of two texts are the same, by the longest common subsequence.
const MOST_CELLS = 4_000_000; // of the table; texts that need more are compared as sets of words

const wordsOf = (text) => text.match(/\s+|[\p{L}\p{M}\p{N}]+|[^\s\p{L}\p{M}\p{N}]/gu) ?? [];
const isWord = (piece) => /\S/u.test(piece);
const folded = (piece) => piece.toLowerCase();

// The pieces of a text with whether each belongs to the other text as well; white space takes the side of the word before it.
function comparedPieces(text, other) {
  const pieces = wordsOf(text);
  const words = pieces.filter(isWord).map(folded);
  const shared = sharedWords(words, wordsOf(other).filter(isWord).map(folded));
  let place = 0;
  let last = true;
  return pieces.map((piece) => {
    if (isWord(piece)) last = shared[place++];
    return { text: piece, shared: last };
  });
}

function sharedWords(words, others) {
  if (words.length * others.length > MOST_CELLS) {
    const set = new Set(others);
    return words.map((word) => set.has(word));
  }
  const width = others.length + 1;
  const lengths = new Uint16Array((words.length + 1) * width); // of the longest subsequence of what follows
  for (let row = words.length - 1; row >= 0; row--) {
    for (let column = others.length - 1; column >= 0; column--) {
      lengths[row * width + column] =
        words[row] === others[column]
          ? lengths[(row + 1) * width + column + 1] + 1
          : Math.max(lengths[(row + 1) * width + column], lengths[row * width + column + 1]);
    }
  }
  const shared = new Array(words.length).fill(false);
  for (let row = 0, column = 0; row < words.length && column < others.length; ) {
    if (words[row] === others[column]) {
      shared[row] = true;
      row++;
      column++;
    } else if (lengths[(row + 1) * width + column] >= lengths[row * width + column + 1]) row++;
    else column++;
  }
  return shared;
}

// The text with what is not shared marked; neighbours in one mark.
function markedText(text, other) {
  const parts = [];
  for (const piece of comparedPieces(text, other)) {
    const open = parts.at(-1);
    if (open && open.shared === piece.shared) open.text += piece.text;
    else parts.push({ ...piece });
  }
  return parts.flatMap((part) => {
    const end = part.text.trimEnd().length;
    return part.shared ? [part.text] : [make("mark", {}, part.text.slice(0, end)), part.text.slice(end)];
  });
}
