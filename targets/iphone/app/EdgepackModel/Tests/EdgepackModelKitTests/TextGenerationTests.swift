import XCTest

@testable import EdgepackModelKit

/// Logits as the original's, tokens as its tokenizer makes them, and text that comes in pieces.
final class TextGenerationTests: XCTestCase {
    func testGoldenVectors() async throws {
        let model = try await TextGeneration()
        let bundle = try ModelBundle.included()
        let facts = try XCTUnwrap(bundle.manifest.models["model"]).golden
        let tensors = try safetensors(bundle.file(facts.file))
        let all = numbers(tensors, ".output.\(facts.output)")
        XCTAssertFalse(all.isEmpty, "there are no golden vectors")
        for number in all {
            let ids = try XCTUnwrap(tensors["\(number).input.input_ids"]).numbers
            let original = try XCTUnwrap(tensors["\(number).output.\(facts.output)"]).floats
            let found = try await model.logits(ids)
            XCTAssertGreaterThanOrEqual(cosine(found, Array(original.suffix(found.count))), facts.leastCosine, number)
        }
    }

    func testTextsThatGoWrongFirst() async throws {
        let model = try await TextGeneration()
        let tensors = try goldenInputs()
        for number in numbers(tensors, ".text") {
            let text = try XCTUnwrap(tensors["\(number).text"]).texts[0]
            XCTAssertEqual(model.tokens(text), tensors["\(number).input.input_ids"]?.numbers, text)
        }
    }

    func testTheLikeliestTextIsTheSameAgain() async throws {
        let model = try await TextGeneration()
        let first = try await text(model, stop: [])
        XCTAssertFalse(first.isEmpty)
        let again = try await text(model, stop: [])
        XCTAssertEqual(first, again)
        let stopped = try await text(model, stop: [String(first.dropFirst())])
        XCTAssertEqual(stopped, String(first.prefix(1)))
    }

    private func text(_ model: TextGeneration, stop: [String]) async throws -> String {
        var options = TextGeneration.Options()
        options.maxTokens = 8
        options.stop = stop
        var made = ""
        for try await piece in model.generate("Once upon a time", options: options) { made += piece }
        return made
    }
}
