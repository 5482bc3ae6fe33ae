package ai.onnxruntime.genai;

import org.json.JSONArray;
import org.json.JSONException;
import org.json.JSONObject;

public final class Generator implements AutoCloseable {
    private final Model model;
    private final int number;

    public Generator(Model model, GeneratorParams generatorParams) throws GenAIException {
        this.model = model;
        try {
            JSONObject given = new JSONObject().put("options", generatorParams.options);
            number = model.ask("genai.generator", given).getInt("number");
        } catch (JSONException error) {
            throw new IllegalStateException(error);
        }
    }

    public boolean isDone() {
        try {
            return ask("genai.done", new JSONObject()).getBoolean("done");
        } catch (GenAIException | JSONException error) {
            throw new IllegalStateException(error);
        }
    }

    public void appendTokens(int[] inputIDs) throws GenAIException {
        try {
            JSONArray ids = new JSONArray();
            for (int id : inputIDs) ids.put(id);
            ask("genai.append", new JSONObject().put("ids", ids));
        } catch (JSONException error) {
            throw new IllegalStateException(error);
        }
    }

    public void generateNextToken() throws GenAIException {
        ask("genai.next", new JSONObject());
    }

    public int getLastTokenInSequence(long sequenceIndex) throws GenAIException {
        try {
            return ask("genai.last", new JSONObject()).getInt("token");
        } catch (JSONException error) {
            throw new IllegalStateException(error);
        }
    }

    private JSONObject ask(String what, JSONObject given) throws GenAIException {
        try {
            return model.ask(what, given.put("number", number));
        } catch (JSONException error) {
            throw new IllegalStateException(error);
        }
    }

    @Override
    public void close() {}
}
