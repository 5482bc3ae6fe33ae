import XCTest

@testable import EdgepackModelKit

/// Vectors as the original's, from texts on.
final class SparseEmbeddingTests: XCTestCase {
    func testGoldenVectors() async throws {
        let model = try await SparseEmbedding()
        try await checkGolden(ModelBundle.included(), kind: "text") { try await model.vector(model.ids($0.texts[0])) }
    }

    func testTextsThatGoWrongFirst() async throws {
        let model = try await SparseEmbedding()
        let tensors = try goldenInputs()
        for number in numbers(tensors, ".text") {
            let text = try XCTUnwrap(tensors["\(number).text"]).texts[0]
            XCTAssertEqual(try model.ids(text), tensors["\(number).input.input_ids"]?.numbers, text)
        }
    }

    func testTheLargestNumbersAreKept() async throws {
        let model = try await SparseEmbedding()
        let whole = try await model.embed(["A cat sleeps."])[0]
        let short = try await model.embed(["A cat sleeps."], maxActiveDims: 3)[0]
        XCTAssertEqual(whole.indices, whole.indices.sorted())
        XCTAssertTrue(Set(short.indices).isSubset(of: whole.indices))
        XCTAssertEqual(model.weights(short).map(\.weight), Array(whole.values.sorted(by: >).prefix(3)))
        let squares = short.values.reduce(0) { $0 + $1 * $1 }
        XCTAssertEqual(model.similarity(whole, short), squares, accuracy: 1e-4 * squares)
    }

    func testAPromptIsANameOfTheModelsOrATextOfOnesOwn() async throws {
        let model = try await SparseEmbedding()
        let own = try await model.embed(["cat sleeps."], prompt: "A ")
        let whole = try await model.embed(["A cat sleeps."], prompt: "")
        XCTAssertEqual(own, whole)
        for (name, text) in [("none such", nil), ("a", "b")] as [(String, String?)] {
            do {
                _ = try await model.embed(["A"], promptName: name, prompt: text)
                XCTFail("the prompt \(name) was taken")
            } catch ModelError.input {}
        }
    }
}
