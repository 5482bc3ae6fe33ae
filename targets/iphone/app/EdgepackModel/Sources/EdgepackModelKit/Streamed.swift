import Foundation
import Tokenizers

/// The text of an answer, token by token: only what no later token changes, and never a part of a stop text.
struct Streamed {
    private let tokenizer: any Tokenizer
    private let stops: [String]
    private var ids: [Int]
    private var given: Int
    private var held = ""
    /// True behind a stop text: nothing follows.
    private(set) var ended = false

    private static let context = 4  // tokens that tell what comes before a piece, such as a space

    init(tokenizer: any Tokenizer, prompt: [Int], stops: [String]) {
        (self.tokenizer, self.stops) = (tokenizer, stops)
        ids = prompt.suffix(Self.context)
        given = tokenizer.decode(tokens: ids, skipSpecialTokens: true).unicodeScalars.count
    }

    /// Returns the text that is certain with one more token, often "".
    mutating func add(_ token: Int) -> String {
        ids.append(token)
        let scalars = tokenizer.decode(tokens: ids, skipSpecialTokens: true).unicodeScalars
        if scalars.last == "\u{fffd}" || scalars.count <= given { return "" }  // a character's first bytes wait
        let piece = String(String.UnicodeScalarView(scalars.dropFirst(given)))
        ids = ids.suffix(Self.context)
        given = tokenizer.decode(tokens: ids, skipSpecialTokens: true).unicodeScalars.count
        return beforeStop(piece)
    }

    /// Returns what was held back, when no token follows.
    mutating func rest() -> String {
        if ended { return "" }
        let scalars = tokenizer.decode(tokens: ids, skipSpecialTokens: true).unicodeScalars
        let last = beforeStop(String(String.UnicodeScalarView(scalars.dropFirst(given))))
        defer { held = "" }
        return ended ? last : last + held
    }

    private mutating func beforeStop(_ piece: String) -> String {
        let text = held + piece
        let found = stops.compactMap { text.range(of: $0) }.min { $0.upperBound < $1.upperBound }
        if let found {
            ended = true
            held = ""
            return String(text[..<found.lowerBound])
        }
        let open = stops.map { stop in
            stride(from: min(stop.count - 1, text.count), to: 0, by: -1).first { text.hasSuffix(stop.prefix($0)) } ?? 0
        }
        held = String(text.suffix(open.max() ?? 0))
        return String(text.dropLast(open.max() ?? 0))
    }
}
